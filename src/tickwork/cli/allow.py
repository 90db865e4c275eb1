"""``tickwork allow``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from .consent import allow as note
from .consent import forget, settings_digest, wishes
from .output import Output, talk, write_document, write_facts
from .places import OWN

EXAMPLES: Final = """Examples:

    tickwork allow --look
    tickwork allow
    tickwork allow --forget

A folder's skills.toml and providers.toml name programs that are started, files
that are executed, and hosts that your keys are sent to; its store has profiles
and runs. What you have made yourself holds at once. Settings that somebody
wrote or changed, you too, hold when they are allowed as they are."""

app = App(name="allow", help_epilogue=EXAMPLES)


@app.default
def allow(
    *,
    look: Annotated[bool, Parameter(negative="", help="Only show what the settings ask for.")] = False,
    forget_it: Annotated[
        bool, Parameter(name="--forget", negative="", help="Take it back: nothing of this folder holds any more.")
    ] = False,
    output: Output = "text",
) -> int:
    """Let the settings and the store of this folder hold as they are, after a look at them."""
    wanted, digest = wishes(), settings_digest()
    if forget_it:
        forget()
    elif not look:
        note()
    if output != "text":
        rows = [{"what": what, "text": text} for what, text in wanted]
        folder = str(OWN.absolute())
        write_document({"folder": folder, "digest": digest, "allowed": not (look or forget_it), "asks": rows}, output)
        return 0
    write_facts([("folder", str(OWN.absolute())), ("settings", digest or "none"), *wanted])
    talk("nothing of this folder holds any more" if forget_it else "looked at only" if look else "allowed as it is")
    return 0
