"""Every exception Tickwork raises, its code and its exit status.

    TickworkError
    ├── UsageError                  exit 2
    │   └── UsageFault              TW1001  a command line that cannot be carried out
    ├── WorldError                  exit 78
    │   ├── WorldSyntaxError        TW1101  world.toml is not TOML, or not UTF-8
    │   ├── WorldSchemaError        TW1102  unknown key, wrong type, value out of range
    │   ├── WorldReferenceError     TW1103  a name or file the world points to does not exist
    │   └── TaskCycleError          TW1104  tasks that wait for each other
    ├── JournalError
    │   ├── JournalNotFound         TW2001  exit 8
    │   ├── JournalExists           TW2002  exit 7   the file is already a journal
    │   ├── JournalBusy             TW2003  exit 7   another process writes it
    │   ├── JournalDamaged          TW2004  exit 3
    │   ├── JournalFormat           TW2005  exit 4   a newer or foreign format
    │   ├── JournalWriteFailed      TW2006  exit 69  full disk, I/O or fsync error
    │   ├── JournalClosed           TW2007  exit 7   a finished run cannot go on
    │   └── JournalIncomplete       TW2008  exit 8   content that a record names is missing
    ├── ModuleError                 exit 4
    │   ├── ModuleRefused           TW3001  the static gate found something forbidden
    │   ├── ModuleImportRefused     TW3002  an import no host offers
    │   ├── ModuleAbiMismatch       TW3003  exports, descriptor or version do not fit
    │   ├── ModuleUnsigned          TW3004  unsigned, and the run did not allow that
    │   ├── ModuleCompileFailed     TW3005  the compiler refused it or ran out of its limits
    │   └── ModuleManifestInvalid   TW3006  the manifest section is not what it must be
    ├── PackageError                exit 4
    │   ├── SignatureInvalid        TW3201  the signature is not one of these bytes
    │   ├── KeyUntrusted            TW3202  no trusted key made the signature
    │   ├── KeyExpired              TW3203  before or after the key's validity
    │   ├── KeyRevoked              TW3204  the key, or this package, is revoked
    │   ├── NameNotAllowed          TW3205  the key may not sign packages of this name
    │   ├── CapabilityBeyondKey     TW3206  more capabilities than the key may give
    │   ├── PackageDowngrade        TW3207  older than the version that was trusted before
    │   ├── CapabilityIncrease      TW3208  an update asks for more, and nobody has approved that
    │   ├── LockMismatch            TW3209  not what tickwork.lock pins
    │   ├── TrustFileInvalid        TW3210  a trust, key or lock file that cannot be read
    │   └── RegistryFailed          TW3211  exit 69  a registry that does not answer as it must
    ├── HostError
    │   ├── EngineUnsuitable        TW3101  exit 69  wasmtime here does not behave as profile tw-1 needs
    │   ├── WorkerLost              TW3102  exit 69  worker processes died three times in one tick
    │   └── OutputLost              TW3103  exit 69  standard output cannot be written
    ├── RunError
    │   ├── ReplayDivergence        TW4001  exit 3
    │   ├── AgentCodeMissing        TW4002  exit 8   a native agent's source is absent, has changed or cannot be loaded
    │   ├── EffectUndecided         TW4003  exit 6   an effect's result is unknown and a person must decide
    │   ├── RunFailed               TW4004  exit 1
    │   ├── AgentNotFound           TW4005  exit 8
    │   ├── TickOutOfRange          TW4006  exit 8
    │   └── SwapRefused             TW4101  exit 4   a module that cannot take the place of another
    ├── AuthoringError
    │   ├── ToolchainMissing        TW5001  exit 4   no compiler for the agent's language
    │   ├── BuildFailed             TW5002  exit 1   the compiler refused the source
    │   ├── BuildNotReproducible    TW5003  exit 4   the same source gave other bytes
    │   ├── ProjectInvalid          TW5004  exit 78  agent.toml or a test script is not what it must be
    │   └── AgentTestFailed         TW5005  exit 1   a script's outputs are not the golden ones
    ├── ModelError                  exit 4
    │   ├── ModelNotFound           TW6001  exit 8   no such model, version or file in the store
    │   ├── ModelInvalid            TW6002  the file is no model, or needs more than a load may take
    │   ├── ModelDamaged            TW6003  exit 3   bytes are not those of their digest
    │   ├── ModelInputInvalid       TW6004  exit 2   a tensor of the wrong name, type or shape
    │   ├── ModelTooLarge           TW6005  exit 5   more memory than the budget allows
    │   ├── ModelTimeout            TW6006  exit 1   no answer before the deadline
    │   ├── ModelCrashed            TW6007  exit 69  the worker process ended
    │   ├── ProviderMissing         TW6008  exit 69  an execution provider is absent or failed
    │   ├── ModelHostLost           TW6009  exit 69  the process that owns the workers cannot be reached
    │   ├── ModelQueueFull          TW6010  exit 69  too many requests wait already
    │   ├── ModelExists             TW6011  exit 7   the version is there with other bytes
    │   ├── ModelsMissing           TW6012  exit 69  a package that models need is not installed
    │   ├── ReexecutionRefused      TW6013  this machine's numerics are not those of the recorded answers
    │   ├── ModelRunFailed          TW6014  exit 1   the model itself reported an error
    │   ├── ModelUnfit              TW6015  the profile or batching asked for does not hold for this model
    │   ├── ModelKept               TW6016  exit 7   a pinned or aliased version, which is not removed
    │   └── ModelStoreFailed        TW6017  exit 69  the store's folder cannot be read or written
    └── InternalError               TW9001  exit 70  our bug, never the user's

A module's misbehaviour while it runs is not here: a trap or an endless loop is a turn's outcome, a record in the
journal.
"""

from typing import ClassVar


class TickworkError(Exception):
    """An operating error that a person can act on.

    Args:
        what: What went wrong, as one sentence without the final full stop.
        where: File and line, record and offset, agent and tick: the place, where there is one.
        why: The rule or the observation behind it.
        fix: What to do now.
    """

    code: ClassVar[str] = "TW9000"
    exit_status: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        text = f"{self.code}: {self.what}"
        if self.where:
            text += f"\n  where: {self.where}"
        if self.why:
            text += f"\n  why:   {self.why}"
        if self.fix:
            text += f"\n  fix:   {self.fix}"
        return text

    def problem(self) -> dict[str, str | int]:
        """Return the error as a flat document for ``-o json``."""
        document: dict[str, str | int] = {"schema_version": 1, "code": self.code, "what": self.what}
        for name in ("where", "why", "fix"):
            value: str = getattr(self, name)
            if value:
                document[name] = value
        document["exit_status"] = self.exit_status
        return document


class UsageError(TickworkError):
    """A command line that cannot be carried out."""

    exit_status = 2


class UsageFault(UsageError):
    """Options that contradict each other or lack a value."""

    code = "TW1001"


class WorldError(TickworkError):
    """A world file that cannot be run."""

    exit_status = 78


class WorldSyntaxError(WorldError):
    """The file is not TOML."""

    code = "TW1101"


class WorldSchemaError(WorldError):
    """A key or value that the world schema does not allow."""

    code = "TW1102"


class WorldReferenceError(WorldError):
    """A name or file the world points to does not exist."""

    code = "TW1103"


class TaskCycleError(WorldError):
    """Tasks that wait for each other; the message names the cycle."""

    code = "TW1104"


class JournalError(TickworkError):
    """A journal that cannot be opened, read or written."""


class JournalNotFound(JournalError):
    """No journal at that path."""

    code = "TW2001"
    exit_status = 8


class JournalExists(JournalError):
    """A new run would overwrite a journal."""

    code = "TW2002"
    exit_status = 7


class JournalBusy(JournalError):
    """Another process is writing this journal."""

    code = "TW2003"
    exit_status = 7


class JournalDamaged(JournalError):
    """Bytes of the journal are not what was written.

    Args:
        record: The tick whose record is damaged; -1 for the header; None where no record is affected.
        offset: Byte offset in the file of the first damaged page; None where it is not known.
    """

    code = "TW2004"
    exit_status = 3

    def __init__(self, what: str, *, record: int | None, offset: int | None, why: str = "", fix: str = "") -> None:
        named = "header" if record == -1 else f"tick {record}"
        places = [named if record is not None else "", f"byte {offset}" if offset is not None else ""]
        super().__init__(what, where=", ".join(place for place in places if place), why=why, fix=fix)
        self.record = record
        self.offset = offset


class JournalFormat(JournalError):
    """The file is no journal, or of a format this version does not read."""

    code = "TW2005"
    exit_status = 4


class JournalWriteFailed(JournalError):
    """The disk refused a write; nothing acknowledged is lost and the run can be resumed."""

    code = "TW2006"
    exit_status = 69


class JournalClosed(JournalError):
    """A finished run cannot be resumed."""

    code = "TW2007"
    exit_status = 7


class JournalIncomplete(JournalError):
    """Content that a record names is not in the journal."""

    code = "TW2008"
    exit_status = 8


class ModuleError(TickworkError):
    """A module that is refused before any of it runs."""

    exit_status = 4


class ModuleRefused(ModuleError):
    """The static gate found something forbidden."""

    code = "TW3001"


class ModuleImportRefused(ModuleError):
    """The module imports something no host offers."""

    code = "TW3002"


class ModuleAbiMismatch(ModuleError):
    """Exports, descriptor or ABI version do not fit this host."""

    code = "TW3003"


class ModuleUnsigned(ModuleError):
    """The module is unsigned and the run did not allow that."""

    code = "TW3004"


class ModuleCompileFailed(ModuleError):
    """The compiler refused the module or ran out of its limits."""

    code = "TW3005"


class ModuleManifestInvalid(ModuleError):
    """The manifest section is not what it must be."""

    code = "TW3006"


class PackageError(TickworkError):
    """A package that is not trusted to run here."""

    exit_status = 4


class SignatureInvalid(PackageError):
    """The signature is malformed, or these are not the bytes that were signed."""

    code = "TW3201"


class KeyUntrusted(PackageError):
    """No key that this machine trusts made the signature."""

    code = "TW3202"


class KeyExpired(PackageError):
    """The key is not yet, or no longer, valid."""

    code = "TW3203"


class KeyRevoked(PackageError):
    """The key, or this very package, was revoked."""

    code = "TW3204"


class NameNotAllowed(PackageError):
    """The key may not sign packages of this name."""

    code = "TW3205"


class CapabilityBeyondKey(PackageError):
    """The package declares capabilities that its key may not give."""

    code = "TW3206"


class PackageDowngrade(PackageError):
    """The package is older than a version that was trusted before."""

    code = "TW3207"


class CapabilityIncrease(PackageError):
    """An update declares more capabilities than were approved."""

    code = "TW3208"


class LockMismatch(PackageError):
    """A package, model or engine is not what ``tickwork.lock`` pins."""

    code = "TW3209"


class TrustFileInvalid(PackageError):
    """A trust, key or lock file that is not what it must be."""

    code = "TW3210"


class RegistryFailed(PackageError):
    """A registry cannot be reached or does not answer as it must."""

    code = "TW3211"
    exit_status = 69


class HostError(TickworkError):
    """This machine failed, not an agent; the run stays as it was and can be resumed."""

    exit_status = 69


class EngineUnsuitable(HostError):
    """The WebAssembly engine here does not behave as the profile needs."""

    code = "TW3101"


class WorkerLost(HostError):
    """Worker processes died again and again in the same tick."""

    code = "TW3102"


class OutputLost(HostError):
    """What a command printed could not be written: its standard output is full or gone."""

    code = "TW3103"


class RunError(TickworkError):
    """A run that cannot go on, or a question about a run that has no answer."""


class ReplayDivergence(RunError):
    """A replay or verification met a record that differs from the recomputed one."""

    code = "TW4001"
    exit_status = 3


class AgentCodeMissing(RunError):
    """A native agent's source is absent or is not the recorded one."""

    code = "TW4002"
    exit_status = 8


class EffectUndecided(RunError):
    """The result of an effect is unknown and its class leaves the decision to a person."""

    code = "TW4003"
    exit_status = 6


class RunFailed(RunError):
    """The run ended because an agent failed beyond its supervision policy."""

    code = "TW4004"
    exit_status = 1


class AgentNotFound(RunError):
    """No agent of that name or number in this run."""

    code = "TW4005"
    exit_status = 8


class TickOutOfRange(RunError):
    """The run has no such tick."""

    code = "TW4006"
    exit_status = 8


class SwapRefused(RunError):
    """A module that cannot take the place of another."""

    code = "TW4101"
    exit_status = 4


class AuthoringError(TickworkError):
    """An agent that cannot be built or does not pass its tests."""


class ToolchainMissing(AuthoringError):
    """No compiler for the agent's language was found; the fix is one line to run."""

    code = "TW5001"
    exit_status = 4


class BuildFailed(AuthoringError):
    """The compiler refused the source."""

    code = "TW5002"
    exit_status = 1


class BuildNotReproducible(AuthoringError):
    """Two builds of the same source gave different bytes."""

    code = "TW5003"
    exit_status = 4


class ProjectInvalid(AuthoringError):
    """A project file or a test script that is not what it must be."""

    code = "TW5004"
    exit_status = 78


class AgentTestFailed(AuthoringError):
    """What an agent did is not what its script expects."""

    code = "TW5005"
    exit_status = 1


class ModelError(TickworkError):
    """A model that cannot be kept, loaded or asked."""

    exit_status = 4


class ModelNotFound(ModelError):
    """The store has no such model or version, or a file that was named is absent."""

    code = "TW6001"
    exit_status = 8


class ModelInvalid(ModelError):
    """The file is no model that can be loaded, or loading it takes more than is allowed."""

    code = "TW6002"


class ModelDamaged(ModelError):
    """Bytes in the store are not those of their digest."""

    code = "TW6003"
    exit_status = 3


class ModelInputInvalid(ModelError):
    """A tensor that does not fit the model: its name, type, rank or shape."""

    code = "TW6004"
    exit_status = 2


class ModelTooLarge(ModelError):
    """The model needs more memory than its budget allows."""

    code = "TW6005"
    exit_status = 5


class ModelTimeout(ModelError):
    """The model did not answer before its deadline."""

    code = "TW6006"
    exit_status = 1


class ModelCrashed(ModelError):
    """The model's worker process ended while it worked."""

    code = "TW6007"
    exit_status = 69


class ProviderMissing(ModelError):
    """An execution provider that was asked for is absent or failed, and no fallback was allowed."""

    code = "TW6008"
    exit_status = 69


class ModelHostLost(ModelError):
    """The process that owns the models' workers cannot be reached."""

    code = "TW6009"
    exit_status = 69


class ModelQueueFull(ModelError):
    """Too many requests wait for the model already."""

    code = "TW6010"
    exit_status = 69


class ModelExists(ModelError):
    """The store has that version with other bytes."""

    code = "TW6011"
    exit_status = 7


class ModelsMissing(ModelError):
    """A Python package that models need is not installed; the fix is one line to run."""

    code = "TW6012"
    exit_status = 69


class ReexecutionRefused(ModelError):
    """Recorded answers cannot be compared here: the numerics of this machine are others."""

    code = "TW6013"


class ModelRunFailed(ModelError):
    """The model was run and reported an error."""

    code = "TW6014"
    exit_status = 1


class ModelUnfit(ModelError):
    """The model has operators that the profile or the way of batching does not allow."""

    code = "TW6015"


class ModelKept(ModelError):
    """The version is pinned, or an alias names it, and is not removed."""

    code = "TW6016"
    exit_status = 7


class ModelStoreFailed(ModelError):
    """The folder of the store cannot be read or written; what was in it before is in it still."""

    code = "TW6017"
    exit_status = 69


class InternalError(TickworkError):
    """A bug in Tickwork. Please report it with the journal head that is shown."""

    code = "TW9001"
    exit_status = 70
