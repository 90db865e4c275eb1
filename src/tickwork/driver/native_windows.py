"""Windows of native agents: what takes the place of a module's regions."""

from collections.abc import Mapping, Sequence

import msgspec

from ..codec import FRAME
from ..native import Write
from ..records import AgentSpec, FrameKind, Outcome, Turn, Written
from ..sandbox.windows import WRITE_BYTES, hash_written


class NativeRegions:
    """What windows have shown to native agents, by agent and name.

    What a turn is shown stays when the turn is good, as in the memory of a module.
    """

    def __init__(self) -> None:
        self._shown: dict[int, Mapping[str, bytes]] = {}

    def show(self, spec: AgentSpec, turn: Turn) -> Mapping[str, bytes]:
        """Return what the agent reads in a turn; nothing of it stays yet."""
        regions = dict(self.contents(turn.agent))
        for handle in dict.fromkeys(view.handle for view in turn.views):
            views = [view for view in turn.views if view.handle == handle]
            name, end = spec.windows[handle], max(view.offset + view.length for view in views)
            before = regions.get(name, b"")
            if len(views) == 1 and not views[0].offset and (views[0].length == views[0].total or end >= len(before)):
                regions[name] = bytes(views[0].content)
                continue
            region = bytearray(before)
            region += bytes(max(0, end - len(region)))
            for view in views:
                region[view.offset : view.offset + view.length] = view.content
            regions[name] = bytes(region)
        return regions

    def contents(self, agent: int) -> Mapping[str, bytes]:
        """Return what an agent reads, by window."""
        return self._shown.get(agent, {})

    def restore(self, agent: int, contents: Mapping[str, bytes]) -> None:
        """Make this what the agent reads from now on: what a good turn was shown, or what a snapshot holds."""
        self._shown[agent] = contents

    def forget(self, agents: Sequence[int]) -> None:
        """Forget what these agents were shown."""
        for agent in agents:
            self._shown.pop(agent, None)


def with_writes(outcome: Outcome, writes: Sequence[Write]) -> Outcome:
    """Return a good outcome with what the agent wrote to windows, and its digests in the outbox.

    As with a module, the first write to a window counts; the kernel refuses others. An outbox that is no row of frames
    is left as it is, for the kernel to refuse.
    """
    contents: dict[int, bytes] = {}
    for write in writes:
        contents.setdefault(write.handle, bytes(write.content))
    written: list[Written] = []
    outbox, at = outcome.outbox, 0
    while at + FRAME.size <= len(outbox):
        size, kind, _, _, handle, _, _ = FRAME.unpack_from(outbox, at)
        following = at + ((size + 7) & ~7)
        if size < FRAME.size or following > len(outbox):
            return outcome
        if kind == FrameKind.WINDOW_WRITE and size == WRITE_BYTES and handle in contents:
            written.append(Written(handle, at, contents.pop(handle)))
        at = following
    return hash_written(msgspec.structs.replace(outcome, written=tuple(written)))
