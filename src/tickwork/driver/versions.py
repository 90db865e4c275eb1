"""The modules of one run by digest: those of its header, and those that swaps bring while it goes on."""

from collections.abc import Callable, Mapping

import msgspec

from ..errors import AgentCodeMissing
from ..records import AgentSpec
from ..sandbox.admission import Admitted
from .judging import Judge

Admit = Callable[[AgentSpec, Callable[[bytes], bytes], Mapping[bytes, Admitted]], Admitted]
"""Gives what an agent runs, checked and compiled: the agent, what gives the bytes of a digest, what is admitted."""


class Version(msgspec.Struct, frozen=True):
    """A module as a swap looks at it."""

    wasm: bytes
    admitted: Admitted


class Versions:
    """Modules, judged and admitted when they are first asked for.

    Args:
        admitted: Those of the header.
        content: Gives the bytes of a digest.
    """

    def __init__(
        self, admitted: Mapping[bytes, Admitted], content: Callable[[bytes], bytes], judge: Judge, admit: Admit
    ) -> None:
        self._admitted = dict(admitted)
        self._content = content
        self._judge = judge
        self._admit = admit
        self._brought: dict[bytes, bytes] = {}

    def bring(self, modules: Mapping[bytes, bytes]) -> None:
        """Add modules that are in no journal yet, by digest."""
        self._brought.update(modules)

    def body(self, digest: bytes) -> bytes:
        """Return the bytes of a module or of a source bundle.

        Raises:
            AgentCodeMissing: TW4002, nothing here has that digest.
            JournalIncomplete: TW2008, the journal lacks it.
        """
        if digest in self._brought:
            return self._brought[digest]
        try:
            return self._content(digest)
        except KeyError as error:
            raise AgentCodeMissing(f"no module with digest {digest.hex()} is here") from error

    def admitted(self, spec: AgentSpec) -> Admitted:
        """Return what an agent runs, judged and admitted.

        Raises:
            PackageError: TW3201 to TW3210, it is not believed.
            ModuleError: TW3001 to TW3006, it is refused.
        """
        known = self._admitted.get(spec.package)
        if known is None or spec.source:
            self._judge.judge_spec(spec, self.body)
        if known is None:
            known = self._admitted[spec.package] = self._admit(spec, self.body, self._admitted)
            self._judge.note()
        return known

    def judge(self, spec: AgentSpec) -> None:
        """Judge what an agent is to run, and compile nothing yet.

        Raises:
            PackageError: TW3201 to TW3210, it is not believed. ModuleUnsigned: TW3004.
        """
        self._judge.judge_spec(spec, self.body)

    def note(self) -> None:
        """Note what was judged so far as seen on this machine, once it runs.

        Raises:
            TrustFileInvalid: TW3210, the notes cannot be written.
        """
        self._judge.note()

    def version(self, spec: AgentSpec) -> Version:
        """Return what an agent runs, with its bytes."""
        return Version(self.body(spec.digest), self.admitted(spec))
