"""Every exception of goals, plans and skills, its code and its exit status.

    TickworkError
    └── PlaneError
        ├── PlanInvalid             TW7001  exit 78  a plan that cannot be run; every fault is named
        ├── PlanNotFound            TW7002  exit 8
        ├── SkillNotFound           TW7003  exit 8
        ├── SkillInvalid            TW7004  exit 78  a skill's class or configuration is not what it must be
        ├── SkillRefused            TW7005  exit 4   the agent may not use the skill so
        ├── SkillInputInvalid       TW7006  exit 2   parameters that do not fit the skill's schema
        ├── SkillOutputInvalid      TW7007  exit 1   a result that does not fit the skill's schema
        ├── SkillFailed             TW7008  exit 1   the skill reported a failure
        ├── SkillTimeout            TW7009  exit 1   no result before the deadline
        ├── BudgetExceeded          TW7010  exit 5   more money, tokens or calls than allowed
        ├── RunNotFound             TW7011  exit 8
        ├── WaitNotFound            TW7012  exit 8   no such approval, input or signal is waited for
        ├── WaitClosed              TW7013  exit 7   it has been answered otherwise, or has expired
        ├── ProfileNotFound         TW7014  exit 8   no agent of this name
        ├── ProfileInvalid          TW7015  exit 78  an agent's description is not what it must be
        ├── PlannerFailed           TW7016  exit 1   no valid plan for the goal
        ├── ProviderFailed          TW7017  exit 69  a language model's provider does not answer as it must
        ├── StoreFailed             TW7018  exit 69  the store cannot be read or written
        ├── StoreFormat             TW7019  exit 4   a store of a newer or foreign format
        ├── GoalsMissing            TW7020  exit 69  a package that goals need is not installed
        ├── KeyReused               TW7021  exit 7   an idempotency key that stands for another request
        ├── ExpressionInvalid       TW7022  exit 78  an expression that cannot be evaluated
        ├── ExpressionFailed        TW7023  exit 1   an expression that came to no value
        ├── AddressRefused          TW7024  exit 4   an address that skills may not reach
        ├── PathRefused             TW7025  exit 4   a path outside the folder that was granted
        ├── ServerFailed            TW7026  exit 69  a server of skills that hangs, died or broke its word
        ├── ArtifactNotFound        TW7027  exit 8
        ├── RunBusy                 TW7028  exit 7   another process works on the run
        ├── OutputTooLarge          TW7029  exit 1   a result larger than a step may have
        ├── StatementRefused        TW7030  exit 4   a statement that the grant does not cover
        ├── DeciderRefused          TW7031  exit 4   somebody who is not among those who decide
        └── FolderRefused           TW7032  exit 4   settings or a store that the user has not looked at

What goes wrong inside a step is data: it becomes the step's error, with one of these codes, and the plan says what
follows from it.
"""

from ..errors import TickworkError


class PlaneError(TickworkError):
    """An error of goals, plans or skills.

    Attributes:
        retryable: Whether the same call may succeed later; whoever raises one that knows better sets it.
        retry_after_ms: When at the earliest, where the other side has said so; 0 where it has not.
        unsent: Whether nothing can have been changed yet, so that even a call that must not be repeated may be.
    """

    retryable: bool = False
    retry_after_ms: int = 0
    unsent: bool = False


class PlanInvalid(PlaneError):
    """A plan that cannot be run."""

    code = "TW7001"
    exit_status = 78


class PlanNotFound(PlaneError):
    """No such plan."""

    code = "TW7002"
    exit_status = 8


class SkillNotFound(PlaneError):
    """No such skill, or not in this version."""

    code = "TW7003"
    exit_status = 8


class SkillInvalid(PlaneError):
    """A skill's class or configuration is not what it must be."""

    code = "TW7004"
    exit_status = 78


class SkillRefused(PlaneError):
    """The agent may not use the skill so."""

    code = "TW7005"
    exit_status = 4


class SkillInputInvalid(PlaneError):
    """Parameters that do not fit the skill's schema."""

    code = "TW7006"
    exit_status = 2


class SkillOutputInvalid(PlaneError):
    """A result that does not fit the skill's schema."""

    code = "TW7007"
    exit_status = 1


class SkillFailed(PlaneError):
    """The skill reported a failure."""

    code = "TW7008"
    exit_status = 1
    retryable = True


class SkillTimeout(PlaneError):
    """No result before the deadline."""

    code = "TW7009"
    exit_status = 1
    retryable = True


class BudgetExceeded(PlaneError):
    """More money, tokens or calls than allowed."""

    code = "TW7010"
    exit_status = 5


class RunNotFound(PlaneError):
    """No such run in the store."""

    code = "TW7011"
    exit_status = 8


class WaitNotFound(PlaneError):
    """No such approval, input or signal is waited for."""

    code = "TW7012"
    exit_status = 8


class WaitClosed(PlaneError):
    """It has been answered otherwise, or has expired."""

    code = "TW7013"
    exit_status = 7


class ProfileNotFound(PlaneError):
    """No agent of this name."""

    code = "TW7014"
    exit_status = 8


class ProfileInvalid(PlaneError):
    """An agent's description is not what it must be."""

    code = "TW7015"
    exit_status = 78


class PlannerFailed(PlaneError):
    """No valid plan for the goal."""

    code = "TW7016"
    exit_status = 1


class ProviderFailed(PlaneError):
    """A language model's provider does not answer as it must."""

    code = "TW7017"
    exit_status = 69
    retryable = True


class StoreFailed(PlaneError):
    """The store cannot be read or written."""

    code = "TW7018"
    exit_status = 69
    retryable = True


class StoreFormat(PlaneError):
    """A store of a newer or foreign format."""

    code = "TW7019"
    exit_status = 4


class GoalsMissing(PlaneError):
    """A package that goals need is not installed."""

    code = "TW7020"
    exit_status = 69


class KeyReused(PlaneError):
    """An idempotency key that stands for another request."""

    code = "TW7021"
    exit_status = 7


class ExpressionInvalid(PlaneError):
    """An expression that cannot be evaluated."""

    code = "TW7022"
    exit_status = 78


class ExpressionFailed(PlaneError):
    """An expression that came to no value."""

    code = "TW7023"
    exit_status = 1


class AddressRefused(PlaneError):
    """An address that skills may not reach."""

    code = "TW7024"
    exit_status = 4


class PathRefused(PlaneError):
    """A path outside the folder that was granted."""

    code = "TW7025"
    exit_status = 4


class ServerFailed(PlaneError):
    """A server of skills that hangs, died or broke its word."""

    code = "TW7026"
    exit_status = 69
    retryable = True


class ArtifactNotFound(PlaneError):
    """No such artifact."""

    code = "TW7027"
    exit_status = 8


class RunBusy(PlaneError):
    """Another process works on the run."""

    code = "TW7028"
    exit_status = 7


class OutputTooLarge(PlaneError):
    """A result larger than a step may have."""

    code = "TW7029"
    exit_status = 1


class StatementRefused(PlaneError):
    """A statement that the grant does not cover."""

    code = "TW7030"
    exit_status = 4


class DeciderRefused(PlaneError):
    """Somebody who is not among those who decide."""

    code = "TW7031"
    exit_status = 4


class FolderRefused(PlaneError):
    """Settings or a store of a folder that its user has not looked at."""

    code = "TW7032"
    exit_status = 4
