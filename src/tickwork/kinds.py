"""The kinds of the nouns: what frames, inputs, turns, effects and notes can be, each a number that records hold.

They are part of the journal's format: a number keeps its meaning for ever, and a new kind takes a new number. Everybody
but this package's own ``records`` takes them from there.
"""

from enum import IntEnum, StrEnum


class FrameKind(IntEnum):
    """Kind of a frame in an inbox or outbox. Source: the agent ABI. From 0x8000 on, kinds are the user's."""

    SEND = 1
    PUBLISH = 2
    PUBLISH_RETAINED = 3
    JOIN = 4
    LEAVE = 5
    SPAWN = 6
    EXIT = 7
    TIMER = 8
    TASK = 9
    INFER = 10
    SKILL = 11
    WINDOW_WRITE = 12
    LOG = 13
    METRIC = 14
    MESSAGE = 32
    RESULT = 33
    ERROR = 34
    TIMER_FIRED = 35
    RETAINED = 36
    WINDOW_EPOCH = 37
    CONFIG = 38
    TASK_READY = 39


class Encoding(IntEnum):
    """How a frame's body reads."""

    BYTES = 0
    JSON = 1
    MSGPACK = 2
    TENSOR = 3
    ARTIFACT = 4
    IN_WINDOW = 5


class Operation(IntEnum):
    """Which export a turn calls."""

    INIT = 0
    STEP = 1
    SHUTDOWN = 2


class Status(IntEnum):
    """What a turn came to. Everything but OK rolls the turn back."""

    OK = 0
    FAILED = 1
    TRAP = 2
    OUT_OF_FUEL = 3
    DEPTH_LIMIT = 4
    MEMORY_LIMIT = 5
    ABI_VIOLATION = 6
    DENIED = 7


class Refusal(IntEnum):
    """Negative return codes of the ABI, also the ``code`` of an error frame sent to an agent."""

    FAILED = -1
    BAD_MESSAGE = -2
    NO_MEMORY = -3
    DENIED = -4
    NOT_FOUND = -5
    TOO_BIG = -6
    OUTBOX_FULL = -7
    UNSUPPORTED = -8
    BAD_STATE = -9
    CONFLICT = -10
    TIMEOUT = -11
    FATAL = -12


class InputKind(IntEnum):
    """Kind of a fact that enters from outside."""

    MESSAGE = 1
    PUBLISH = 2
    PUBLISH_RETAINED = 3
    RESULT = 4
    CLOCK = 5
    STOP_AGENT = 6
    SUSPEND_AGENT = 7
    RESUME_AGENT = 8
    CONFIGURE_AGENT = 9
    RESEED = 10
    CLOSE = 11
    LINEAGE = 12
    SWAP_AGENT = 13
    GRANT = 14
    REVOKE = 15
    OPEN_WINDOW = 16
    CLOSE_WINDOW = 17
    SWAP_MODEL = 18


class SwapMode(StrEnum):
    """What becomes of an agent's state in a swap: it begins anew, is saved and loaded, or stays in memory as it is."""

    RESTART = "restart"
    MIGRATE = "migrate"
    KEEP_IMAGE = "keep_image"


class DerivedKind(IntEnum):
    """Kind of a record that re-running the kernel reproduces."""

    SPAWNED = 1
    STOPPED = 2
    RESTARTED = 3
    SUSPENDED = 4
    RESUMED = 5
    RETRIED = 6
    ESCALATED = 7
    DEAD_LETTER = 8
    OVERFLOW = 9
    LOST_WRITE = 11
    JOINED = 12
    LEFT = 13
    TIMER_FIRED = 14
    TASK_ADDED = 15
    TASK_STARTED = 16
    TASK_DONE = 17
    TASK_FAILED = 18
    EFFECT = 19
    EFFECT_SETTLED = 20
    STATE_ROOT = 21
    REFUSED_INPUT = 22
    CLOSED = 23
    DENIED = 24
    GRANTED = 25
    REVOKED = 26
    WINDOW_OPENED = 27
    WINDOW_FLIPPED = 28
    WINDOW_CLOSED = 29
    SWAPPED = 30
    SWAP_FAILED = 31
    MODEL_SWAPPED = 32
    MODEL_SWAP_FAILED = 33


class EffectClass(IntEnum):
    """What may be done when a crash leaves an effect's result unknown.

    PURE and IDEMPOTENT effects go out again under the same key; an UNSAFE one waits for an operator's input, and so
    does a COMPENSABLE one, which can also be undone.
    """

    PURE = 0
    IDEMPOTENT = 1
    UNSAFE = 2
    COMPENSABLE = 3


class NoteKind(IntEnum):
    """What a note about a model says."""

    SESSION = 1
    ANSWER = 2
    FALLBACK = 3
    CRASH = 4
    EVICTED = 5
