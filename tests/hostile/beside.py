"""What becomes of a hostile module: refused, or run in a world beside agents that behave."""

from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tests.hostile.case import Case
from tests.laws.corpus import module, options, wasm
from tests.laws.recorded import record
from tests.unit.sandbox import wat
from tickwork import codec
from tickwork.driver.resolve import World, canonical_json, make_world, new_header
from tickwork.errors import TickworkError
from tickwork.records import AgentSpec, Limits, Operation, Status, Supervision
from tickwork.sandbox.admission import admit
from tickwork.sandbox.instance import Instance, load

TICKS: Final = 8
FILE: Final = "hostile.wasm"
NAMES: Final = ("n0", "n1")

Said = tuple[tuple[int, int, int, bytes], ...]


class Verdict(NamedTuple):
    """What became of a module.

    Attributes:
        came_to: The code of an error, or the names of the statuses other than OK of its turns.
        text: What a person is told.
        others: What every other agent came to and left, turn by turn; empty where nothing ran.
    """

    came_to: str
    text: str
    others: Said


def beside(data: bytes, *, fuel: int, pages: int) -> World:
    """Return a world in which that module lives among agents that talk to each other and to it."""
    neighbours = tuple(
        wasm(name, "gossip", {"peers": 2, "fanout": 1}, send=NAMES, publish=("heard", "rumour"), subscribe=("rumour",))
        for name in NAMES
    )
    hostile = AgentSpec(
        "hostile",
        "wasm",
        "hostile",
        codec.digest(data),
        config=canonical_json({}),
        subscribe=("heard", "rumour"),
        limits=Limits(fuel=fuel, memory_pages=pages),
        supervision=Supervision("restart", 3),
    )
    agents = (neighbours[0], hostile, neighbours[1])
    header = msgspec.structs.replace(
        new_header("beside", TICKS, agents), seed=7, allow_unsigned=True, topics=("heard", "rumour")
    )
    return make_world(header, modules=[module("gossip"), data])


def judge(case: Case, cache: Path) -> Verdict:
    """Return what becomes of a hostile module."""
    data = case.make()
    try:
        if case.kind == "saving":
            return _saved(case, data)
        admit(data, name=FILE, cache=cache)
        made = record(beside(data, fuel=case.fuel, pages=case.pages), options(cache))
    except TickworkError as error:
        return Verdict(error.code, str(error), ())
    turns = [(frame.tick, turn) for frame in made.journal.frames() for turn in codec.decode_turns(frame.turns)]
    own = [turn.outcome for _, turn in turns if turn.agent == 1]
    assert own, "the module never had a turn"
    statuses = {Status(outcome.status).name for outcome in own} - {"OK"}
    texts = "\n".join(outcome.detail for outcome in own)
    others = tuple(
        (tick, turn.agent, turn.outcome.status, turn.outcome.outbox) for tick, turn in turns if turn.agent != 1
    )
    return Verdict(" ".join(sorted(statuses)), texts, others)


def _saved(case: Case, data: bytes) -> Verdict:
    """Call what a change of versions calls."""
    loaded, limits = load(admit(data, name=FILE).compiled), Limits(memory_pages=case.pages)
    turn = wat.turn(1, 1, operation=Operation.STEP, fuel=case.fuel)
    outcome, state = Instance(loaded, limits).save(turn)
    if outcome.status:
        return Verdict(f"save: {Status(outcome.status).name}", outcome.detail, ())
    outcome = Instance(loaded, limits).load(msgspec.structs.replace(turn, inbox=state))
    return Verdict(f"load: {Status(outcome.status).name}", outcome.detail, ())


def calm(cache: Path) -> Said:
    """Return what the others say beside an agent that does nothing."""
    quiet = Case("calm", "quiet", wat.agent, "")
    return judge(quiet, cache).others


def well(case: Case, verdict: Verdict, undisturbed: Said) -> str:
    """Return what is wrong with a verdict, or nothing."""
    allowed = case.expects.split()
    if case.kind == "compiling":
        allowed += [""]
    expected = {"", *allowed} if case.kind == "compiling" else {case.expects, *allowed}
    if verdict.came_to not in expected:
        return f"it came to {verdict.came_to or 'nothing'}, not to {case.expects or 'nothing'}: {verdict.text}"
    if verdict.others and verdict.others != undisturbed:
        return "the other agents said something else"
    if verdict.came_to.startswith("TW300") and FILE not in verdict.text:
        return f"the message does not name the file: {verdict.text}"
    if any(not (c.isprintable() or c == "\n") for c in verdict.text):
        return f"the message could drive a terminal: {verdict.text!r}"
    return "" if len(verdict.text) < 20_000 else "the message is too long"
