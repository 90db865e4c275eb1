"""Mutation: committed modules with bytes changed go through admission and a few turns, in a process that may die.

    python -m tests.hostile.mutate --count 100000 [--seed S] [--first N] [--failures FOLDER]

The same seed and number give the same input. A failure is an end of the process, an exception that is no refusal, a
silence, or a turn that reaches the end of the native stack; its input is written into the folder.
"""

import argparse
import faulthandler
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from tests.support import ROOT
from tests.unit.sandbox import wat
from tickwork.errors import TickworkError
from tickwork.records import Limits, Operation, Status
from tickwork.sandbox.compile_child import Request, describe, prepare, translate
from tickwork.sandbox.instance import Instance, StartFault, load

SILENCE_S: Final = 60
FUEL: Final = 1_000_000
EDITS_MOST: Final = 6
RUN_MOST: Final = 24
GENTLE: Final = 0.8
TELLING: Final = (0x00, 0x01, 0x0B, 0x10, 0x40, 0x41, 0x7F, 0x80, 0xFC, 0xFD, 0xFF)
SOURCES: Final = ("tests/modules/*.wasm", "tests/modules/*/*.wasm", "tests/tour/*/*.wasm", "examples/**/*.wasm")


def sources() -> list[bytes]:
    """Return the committed modules. Order: by path."""
    paths = {path for pattern in SOURCES for path in ROOT.glob(pattern) if ".debug" not in path.name}
    return [path.read_bytes() for path in sorted(paths)]


def mutated(known: list[bytes], seed: int, number: int) -> bytes:
    """Return the input of a number: most keep every length, so that many of them run."""
    drawn = random.Random(f"{seed}:{number}")
    # Small modules come more often, since each byte of them matters more and they cost less.
    data = bytearray(drawn.choices(known, [1 / len(module) for module in known])[0])
    gentle = drawn.random() < GENTLE
    for _ in range(drawn.randint(1, 2 if gentle else EDITS_MOST)):
        at, length = drawn.randrange(8, len(data)), drawn.randint(1, RUN_MOST)
        edit = drawn.randrange(6 if gentle else 8)
        if edit < 3:
            data[at] ^= 1 << drawn.randrange(8)
        elif edit == 3:
            data[at] = drawn.choice(TELLING)
        elif edit == 4:
            data[at] = drawn.randrange(256)
        elif edit == 5:
            source = drawn.randrange(8, len(data) - RUN_MOST)
            data[at : at + length] = data[source : source + min(length, len(data) - at)]
        elif edit == 6:
            del data[at : at + length]
        else:
            data[at:at] = drawn.randbytes(length)
    return bytes(data)


def tried(data: bytes) -> str:
    """Return what an input came to, in one word.

    Raises:
        AssertionError: A turn reached the end of the native stack.
    """
    request = Request("mutant.wasm", "speed", data)
    try:
        module, rewritten = prepare(request)
        loaded = load(describe(request, module, rewritten, translate(request, rewritten)))
        agent = Instance(loaded, Limits())
    except TickworkError as error:
        return error.code
    except StartFault:
        return "start"
    statuses = set[str]()
    operations = (Operation.INIT, Operation.STEP, Operation.STEP, Operation.SHUTDOWN)
    for tick, operation in enumerate(operations):
        bodies = (b'{"peers":2}',) if operation == Operation.INIT else (b"hello", b"") * (operation == Operation.STEP)
        outcome = agent.run(wat.turn(1, tick, *bodies, operation=operation, fuel=FUEL))
        statuses.add(Status(outcome.status).name)
        if outcome.status:
            assert outcome.status != Status.DEPTH_LIMIT or "nest deeper" in outcome.detail, outcome.detail
            break
    agent.close()
    return max(statuses - {"OK"}, default="OK")


def work(seed: int, first: int, last: int) -> None:
    """Try inputs and say so, a line before each and a word after it."""
    known = sources()
    for number in range(first, last):
        faulthandler.dump_traceback_later(SILENCE_S, exit=True)
        print(number, end=" ", flush=True)
        print(tried(mutated(known, seed, number)), flush=True)


class Report:
    """What many inputs came to.

    Attributes:
        failures: The numbers of the inputs that failed, and how.
    """

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.failures: dict[int, str] = {}


def explore(seed: int, first: int, count: int, *, show: bool = False) -> Report:
    """Return what that many inputs came to; a process that dies is replaced and the next input is tried."""
    report, number, last = Report(), first, first + count
    while number < last:
        command = [sys.executable, "-m", "tests.hostile.mutate", "--seed", str(seed), "--first", str(number)]
        with subprocess.Popen(
            [*command, "--count", str(last - number), "--work"], cwd=ROOT, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, bufsize=1,
        ) as process:  # fmt: skip
            number = _follow(process, report, number, show=show, whole=(first, last))
            process.kill()
            told = process.stderr.read() if process.stderr else ""
        if number < last:
            report.failures[number] = told.strip()[-2000:] or f"ended with status {process.returncode}"
            number += 1
    return report


def _follow(
    process: "subprocess.Popen[str]", report: Report, number: int, *, show: bool, whole: tuple[int, int]
) -> int:
    """Read what a process says; return the first number of which it did not say what became of it."""
    assert process.stdout
    for line in process.stdout:
        words = line.split()
        if len(words) < 2:
            break
        report.counts[words[1]] += 1
        number = int(words[0]) + 1
        if show and number % 200 == 0:
            _bar(number - whole[0], whole[1] - whole[0], report)
    return number


def _bar(done: int, count: int, report: Report) -> None:
    filled = "#" * (40 * done // count)
    ran = sum(amount for word, amount in report.counts.items() if not word.startswith("TW"))
    sys.stderr.write(f"\r[{filled:40}] {done:,} of {count:,}, {ran:,} ran, {len(report.failures)} failed")
    sys.stderr.flush()


def main() -> int:
    """Return 0 if every input was refused or ran."""
    parser = argparse.ArgumentParser(description="Try committed modules with bytes changed.")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--failures", type=Path, default=ROOT / ".cache" / "mutants")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.seed, given.first, given.first + given.count)
        return 0
    report, known = explore(given.seed, given.first, given.count, show=True), sources()
    for number, told in report.failures.items():
        given.failures.mkdir(parents=True, exist_ok=True)
        path = given.failures / f"{given.seed}-{number}.wasm"
        path.write_bytes(mutated(known, given.seed, number))
        print(f"\n{path}: {told}")
    print(f"\nseed {given.seed}, {given.count:,} inputs, {len(report.failures)} failed")
    for word, amount in report.counts.most_common():
        print(f"{word:14} {amount:>8,}")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
