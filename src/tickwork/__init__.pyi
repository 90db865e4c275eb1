"""Types of the front door; ``tests/house`` holds it and ``__init__.py`` to the same names."""

from .driver.compare import Divergence as Divergence
from .driver.diff import Difference as Difference
from .driver.fork import Edit as Edit
from .driver.options import Options as Options
from .driver.options import Progress as Progress
from .driver.performers import Performer as Performer
from .driver.plans import ModelSwap as ModelSwap
from .driver.plans import Swap as Swap
from .driver.resolve import World as World
from .driver.resolve import load_world as load_world
from .driver.resolve import make_world as make_world
from .driver.telemetry import register_telemetry_hook as register_telemetry_hook
from .driver.verbs import diff as diff
from .driver.verbs import fork as fork
from .driver.verbs import replay as replay
from .driver.verbs import resume as resume
from .driver.verbs import run as run
from .driver.verbs import verify as verify
from .driver.verify import Run as Run
from .driver.verify import Verification as Verification
from .errors import TickworkError as TickworkError
from .infer.client import Models as Models
from .native import Agent as Agent
from .native import Context as Context
from .native import Outbox as Outbox
from .records import AgentSpec as AgentSpec
from .records import Effect as Effect
from .records import Encoding as Encoding
from .records import FrameKind as FrameKind
from .records import Header as Header
from .records import Input as Input
from .records import InputKind as InputKind
from .records import Message as Message
from .records import Refusal as Refusal
from .records import Result as Result

__version__: str
