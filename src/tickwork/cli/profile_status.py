"""``tickwork profile pause``, ``resume`` and ``disable``."""

from typing import Final

from cyclopts import App

from .output import Output, write_document, write_facts
from .profile_options import profile_document

EXAMPLES: Final = """Examples:

    tickwork profile {0} analyst
    tickwork profile {0} analyst -o json

Runs that have begun go on; stop one with: tickwork cancel RUN"""

pause = App(name="pause", help_epilogue=EXAMPLES.format("pause"))
resume = App(name="resume", help_epilogue=EXAMPLES.format("resume"))
disable = App(name="disable", help_epilogue=EXAMPLES.format("disable"))


@pause.default
def pause_profile(name: str, /, *, output: Output = "text") -> int:
    """Let no run of a profile begin."""
    from ..plane.profiles import PAUSED

    return _turn(name, PAUSED, output)


@resume.default
def resume_profile(name: str, /, *, output: Output = "text") -> int:
    """Let runs of a profile begin again."""
    from ..plane.profiles import ACTIVE

    return _turn(name, ACTIVE, output)


@disable.default
def disable_profile(name: str, /, *, output: Output = "text") -> int:
    """Let no run of a profile begin, and leave it out of lists."""
    from ..plane.profiles import DISABLED

    return _turn(name, DISABLED, output)


def _turn(name: str, status: str, output: Output) -> int:
    from ..plane.profiles import Profiles
    from .state import open_state

    with open_state() as store:
        found = Profiles(store, store.clock).turn(name, status)
    if output == "text":
        write_facts([("profile", found.name), ("version", found.version), ("status", found.status)])
    else:
        write_document(profile_document(found), output)
    return 0
