"""The crew: whatever computes turns, native agents here and modules in a pool, seen as one.

Invariants:
    * Outcomes come back in the order of the turns, whoever computed them first.
    * The crew knows nothing of messages or schedules: a turn in, an outcome out.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from ..errors import AgentCodeMissing, ModuleRefused
from ..kernel import AgentState, Commit, Flip
from ..native import Agent
from ..records import AgentSpec, Header, Limits, Operation, Outcome, Status, SwapMode, SwapOrder, Turn
from ..sandbox.admission import Admitted, admit
from ..sandbox.compiled import decode_compiled
from ..sandbox.image import Image
from ..sandbox.pool import Pool, Program, open_pool
from .bundles import read_bundle
from .judging import Judge
from .natives import NativeCrew, NativeImage
from .options import Options
from .swap import layout_flaw
from .versions import Versions
from .windows import WindowStore

WASM: Final = "wasm"


Restored = Image | NativeImage
"""The state of one agent between two ticks."""


def admit_modules(
    header: Header, content: Callable[[bytes], bytes], options: Options, judge: Judge | None = None
) -> dict[bytes, Admitted]:
    """Return every module of a header, believed, admitted and compiled, by digest; a base by its bundle's.

    Args:
        content: Gives the bytes of a digest.
        judge: Says whether modules are believed; None judges by the options, now, and notes no update.

    Raises:
        PackageError: TW3201 to TW3210, with the first module that is not believed.
        ModuleError: TW3001 to TW3006, with the first module that is refused.
    """
    judge = judge or Judge(header, options)
    admitted: dict[bytes, Admitted] = {}
    specs = [spec for spec in (*header.agents, *header.templates) if spec.kind == WASM]
    for spec in specs:
        judge.judge_spec(spec, content)
    for spec in specs:
        if spec.package not in admitted:
            admitted[spec.package] = _admit(spec, content, options, admitted)
    judge.note()
    return admitted


def _admit(
    spec: AgentSpec, content: Callable[[bytes], bytes], options: Options, admitted: Mapping[bytes, Admitted]
) -> Admitted:
    """Return what an agent runs, admitted; of several bundles on one base, the base is admitted once."""
    if not spec.source:
        name, notice = f"{spec.entry}.wasm", options.notice
        return admit(content(spec.digest), name=name, cache=options.cache, opt_level=options.opt_level, notice=notice)
    base = next((known for known in admitted.values() if known.digest == spec.digest and known.source), None)
    if base is None:
        wasm = content(spec.digest)
        level, notice = options.opt_level, options.notice
        base = admit(wasm, name=spec.name, cache=options.cache, opt_level=level, base=True, notice=notice)
    bundle = read_bundle(content(spec.source), spec.name)
    return msgspec.structs.replace(base, manifest=bundle.manifest, source=bundle.content)


def open_versions(
    header: Header, content: Callable[[bytes], bytes], options: Options, judge: Judge
) -> tuple[dict[bytes, Admitted], Versions]:
    """Return every module of a header, admitted, and where those come from that swaps bring."""
    admitted = admit_modules(header, content, options, judge)
    return admitted, Versions(admitted, content, judge, lambda spec, body, known: _admit(spec, body, options, known))


def pin_capacities(header: Header, admitted: Mapping[bytes, Admitted]) -> Header:
    """Return the header with each module's capacities: its inbox bounds mailbox cuts, its regions bound windows."""

    def pinned(spec: AgentSpec) -> AgentSpec:
        if spec.kind != WASM:
            return spec
        known = admitted[spec.package]
        limits: Limits = msgspec.structs.replace(spec.limits, inbox_bytes=known.inbox_bytes)
        return msgspec.structs.replace(spec, limits=limits, regions=known.regions)

    return msgspec.structs.replace(
        header,
        agents=tuple(pinned(spec) for spec in header.agents),
        templates=tuple(pinned(spec) for spec in header.templates),
    )


class Crew:
    """Native agents and a pool of modules.

    Attributes:
        versions: Where modules that swaps bring come from; None where there can be no swap.
        windows: What windows hold.

    Args:
        natives: Native agents given as objects, by entry.
        folder: Where other native agents' sources are looked up.
        placed: Whether the header's agents are placed; not so where a snapshot says who is there.
    """

    def __init__(
        self,
        header: Header,
        admitted: Mapping[bytes, Admitted],
        natives: Mapping[str, Agent[Any]],
        folder: Path | None,
        options: Options,
        *,
        placed: bool = True,
        versions: Versions | None = None,
    ) -> None:
        self._admitted = admitted
        self.versions = versions
        self._ready: dict[int, tuple[Program, Image | None]] = {}
        self._natives = NativeCrew(folder, natives)
        self.windows = WindowStore()
        self._mixed = False
        self._pool: Pool | None = open_pool(options.workers, opt_level=options.opt_level) if admitted else None
        if placed:
            self.place([(number, spec) for number, spec in enumerate(header.agents)])

    def place(self, agents: Sequence[tuple[int, AgentSpec]]) -> None:
        """Make agents ready for their first turn."""
        for number, spec in agents:
            self.windows.expect(spec)
            if spec.kind != WASM:
                self._mixed = True
                self._natives.place(number, spec)
                continue
            program = self._program(number, spec)
            assert self._pool is not None, "an admitted module has a pool"
            try:
                self._pool.place(program)
            except ModuleRefused as error:
                # A pool knows code and no file.
                error.what = error.what.replace("a module's", f"module {f'{spec.entry}.wasm'!r}: its", 1)
                raise

    def _program(self, number: int, spec: AgentSpec) -> Program:
        admitted = self._admitted.get(spec.package)
        if admitted is None and self.versions is not None:
            admitted = self.versions.admitted(spec)
        if admitted is None or self._pool is None:
            raise AgentCodeMissing(f"no module with digest {spec.digest.hex()} was admitted for {spec.name!r}")
        return Program(number, admitted.compiled, spec.limits, admitted.source)

    def compute(self, turns: Sequence[Turn]) -> list[Outcome]:
        """Return the outcomes in the order of the turns."""
        if not self.windows.used:
            return self._compute(turns)
        outcomes = self._compute(self.windows.attach(turns))
        self.windows.note(turns, outcomes)
        return outcomes

    def flip(self, flips: Sequence[Flip]) -> None:
        """Make what was written to windows their content, as a commit found."""
        if self.windows.used:
            self.windows.flip(flips)

    def _compute(self, turns: Sequence[Turn]) -> list[Outcome]:
        if self._pool is None:
            return [self._natives.compute(turn) for turn in turns]
        if not self._mixed:
            return self._pool.compute(turns)
        native = [index for index, turn in enumerate(turns) if self._natives.owns(turn.agent)]
        if len(native) == len(turns):
            return [self._natives.compute(turn) for turn in turns]
        own = set(native)
        module_turns = [turn for index, turn in enumerate(turns) if index not in own]
        from_pool = iter(self._pool.compute(module_turns))
        from_native = {index: self._natives.compute(turns[index]) for index in native}
        return [from_native[index] if index in own else next(from_pool) for index in range(len(turns))]

    def rehearse(self, agent: AgentState, order: SwapOrder, tick: int, *, anew: bool) -> Outcome:
        """Return whether another version can take an agent's place, and make it ready if so. The agent stays.

        Of several versions in one tick the first that can is ready, which is the one the kernel swaps in.

        Args:
            tick: The tick it would begin with.
            anew: Whether it begins without a state.

        Raises:
            PackageError, ModuleError: The version is not believed, or refused.
        """
        program, pool = self._program(agent.number, order.spec), self._pool
        assert pool is not None, "only a module is swapped"
        image: Image | None = None
        outcome = Outcome(Status.OK, 0, 0, b"")
        if not anew and order.mode == SwapMode.MIGRATE:
            turn = Turn(agent.number, Operation.INIT, tick, 0, agent.spec.limits.fuel, 0, 0, b"")
            outcome, image = pool.carry(turn, program)
        elif not anew:
            old = self._program(agent.number, agent.spec)
            flaw = layout_flaw(decode_compiled(old.compiled), decode_compiled(program.compiled))
            if flaw:
                return Outcome(Status.ABI_VIOLATION, 0, 0, b"", flaw)
            (image,) = pool.images([agent.number])
        if not outcome.status:
            self._ready.setdefault(agent.number, (program, image))
        return outcome

    def adopt(self, commit: Commit) -> None:
        """Follow what a tick's inputs did: put versions that were rehearsed in place, and tell natives of new specs.

        A native agent sees its spec in every turn, so that it must be the same one as after a snapshot.
        """
        for number, spec in commit.changed:
            self._natives.change_spec(number, spec)
        for number, spec in commit.swapped:
            self.windows.expect(spec)
            program, image = self._ready[number]
            assert self._pool is not None, "only a module is swapped"
            self._pool.retire([number])
            self._pool.place(program)
            if image is not None:
                self._pool.restore(number, image)
        self._ready.clear()

    def follow(self, commit: Commit) -> None:
        """Undo, reset, retire and place agents as a commit asks, in this order."""
        if not (commit.undo or commit.reset or commit.retire or commit.placed):
            return
        for numbers, native, pooled in (
            (commit.undo, self._natives.undo, self._pool.rollback if self._pool else None),
            (commit.reset, self._natives.reset, self._pool.reset if self._pool else None),
            (commit.retire, self._natives.retire, self._pool.retire if self._pool else None),
        ):
            if not numbers:
                continue
            native([number for number in numbers if self._natives.owns(number)])
            modules = [number for number in numbers if not self._natives.owns(number)]
            if modules and pooled is not None:
                pooled(modules)
        if commit.placed:
            self.place(commit.placed)

    def images(self, numbers: Sequence[int]) -> list[Restored] | None:
        """Return the states of agents that have begun, or None where a native agent's state has no encoding.

        Order: as given.
        """
        natives = {number: self._natives.image(number) for number in numbers if self._natives.owns(number)}
        if None in natives.values():
            return None
        modules = [number for number in numbers if number not in natives]
        images = dict(zip(modules, self._pool.images(modules), strict=True)) if self._pool is not None else {}
        return [natives.get(number) or images[number] for number in numbers]

    def native_state(self, number: int) -> Any:
        """Return the state of a native agent as it is, None before it has begun. Nobody changes it."""
        return self._natives.state(number)

    def restore(self, images: Mapping[int, Restored]) -> None:
        """Put agents that have just been placed into these states."""
        for number, image in images.items():
            if isinstance(image, NativeImage):
                self._natives.restore(number, image)
            else:
                assert self._pool is not None, "a module's image needs a pool"
                self._pool.restore(number, image)

    def close(self) -> None:
        """Let go of workers."""
        if self._pool is not None:
            self._pool.close()
