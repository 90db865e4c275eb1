"""Whether this machine believes the modules of a run: asked before anything of them is compiled.

Of what is decided here a run's header says one thing, whether unsigned modules were allowed. Whom a machine trusts is
its own business and enters no digest.
"""

from collections.abc import Callable

from .. import codec
from ..errors import CapabilityBeyondKey, SignatureInvalid
from ..packages.judge import Verdict, judge, note, refuse_revoked
from ..packages.rights import KINDS, beyond
from ..packages.signature import content_digest
from ..packages.trust import Trust, load_trust
from ..records import AgentSpec, Header
from ..sandbox.manifest import Capabilities
from .options import Options


class Judge:
    """Judges the packages of one run.

    Args:
        at_us: The moment at which keys must be valid; None is now. Units: microseconds of UTC.
        update: Whether what is judged may be an update of what ran here before: so where a world is run. A journal
            pins its modules, and older ones than the newest seen are no surprise there.
        live: Whether the run goes on from a journal: that its header allowed unsigned modules is then only its word.
    """

    def __init__(
        self, header: Header, options: Options, *, at_us: int | None = None, update: bool = False, live: bool = False
    ) -> None:
        self._allow_unsigned = header.allow_unsigned and (options.allow_unsigned or not live)
        self._options = options
        self._at_us = at_us
        self._update = update
        self._trust: Trust | None = None
        self._verdicts: dict[bytes, Verdict] = {}
        self._noted: set[bytes] = set()

    def judge_spec(self, spec: AgentSpec, content: Callable[[bytes], bytes]) -> None:
        """Judge what an agent runs: its module, or its source bundle and by it the base module that runs the bundle.

        Args:
            content: Gives the bytes of a digest.

        Raises:
            PackageError: TW3201 to TW3208, TW3210. ModuleUnsigned: TW3004. ModuleManifestInvalid: TW3006.
        """
        verdict = self.judge_package(content(spec.package), spec.name)
        _refuse_undeclared(spec, verdict)
        if not spec.source:
            return
        refuse_revoked((content_digest(content(spec.digest), spec.name), spec.digest), self._loaded(), spec.name)
        manifest = verdict.package.manifest
        if manifest is None or manifest.base != spec.digest.hex():
            raise SignatureInvalid(
                f"the bundle of {spec.name!r} was not made for the base module that would run it",
                why="its manifest names another base, and so nobody has signed for this one",
                fix="build the bundle again with this version of Tickwork",
            )

    def judge_package(self, package: bytes, name: str) -> Verdict:
        """Return the verdict on a package that may run.

        Raises:
            PackageError: TW3201 to TW3208, TW3210. ModuleUnsigned: TW3004. ModuleManifestInvalid: TW3006.
        """
        digest = codec.digest(package)
        if digest not in self._verdicts:
            self._verdicts[digest] = judge(
                package,
                self._loaded(),
                name=name,
                now_us=self._moment(),
                allow_unsigned=self._allow_unsigned,
                update=self._update,
            )
        return self._verdicts[digest]

    def note(self) -> None:
        """Note the versions and capabilities of what was judged, once all of it may run; each is noted once.

        Raises:
            TrustFileInvalid: TW3210, the notes cannot be written.
        """
        for digest, verdict in self._verdicts.items():
            if digest not in self._noted:
                note(verdict, self._loaded())
                self._noted.add(digest)

    def _loaded(self) -> Trust:
        if self._trust is None:
            self._trust = load_trust(self._options.trust)
        return self._trust

    def _moment(self) -> int:
        if self._at_us is None:
            self._at_us = self._options.clock.now_us()
        return self._at_us


def _refuse_undeclared(spec: AgentSpec, verdict: Verdict) -> None:
    """Refuse an agent that a journal gives more than its signed package asks for, which is what the key was asked."""
    manifest = verdict.package.manifest
    if verdict.key is None or manifest is None:
        return
    lists = {kind: getattr(spec, kind) for kind in KINDS}
    more = beyond(Capabilities(**lists, clock=spec.clock), manifest.capabilities)
    if more:
        raise CapabilityBeyondKey(
            f"agent {spec.name!r} is given more than its package asks for: {', '.join(more)}",
            where=f"package {manifest.name!r}",
            why="its key was believed for what the manifest declares, and for nothing else",
            fix="run the world that the journal is said to come from; such a journal was not written by Tickwork",
        )
