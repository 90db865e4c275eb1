"""``tickwork skill call``."""

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cyclopts import App, Parameter

from ..clock import SystemClock
from ..errors import UsageFault
from ..plane.calls import Answer, SkillCall
from ..plane.errors import SkillRefused
from ..plane.json_text import read_json, write_json
from ..plane.profile import GrantsTable
from .config import load_secrets, load_settings, models_folder
from .output import Output, talk, write_document, write_line

EXAMPLES: Final = """Examples:

    tickwork skill call json_transform --params '{"value": [1, 2], "expression": "[0]"}'
    tickwork skill call file_read --params '{"path": "docs/a.md"}' --read docs
    tickwork skill call http_call --params @request.json --host api.example.com
    tickwork skill call sql_query --params '{"sql": "select 1"}' --database a.db
    tickwork skill call text_search --params - < question.json

A skill reaches what the options grant, or with --profile what the profile does.
The exit status is 1 where the skill failed."""

app = App(name="call", help_epilogue=EXAMPLES)


def _many(text: str) -> Parameter:
    return Parameter(negative="", help=f"{text}; may be repeated.")


@dataclass(frozen=True)
class Grants:
    """What a call may reach."""

    host: Annotated[list[str] | None, _many("Host that may be reached, as api.example.com")] = None
    loopback: Annotated[bool, Parameter(negative="", help="Let hosts be addresses of this machine.")] = False
    read: Annotated[list[str] | None, _many("Folder whose files may be read")] = None
    write: Annotated[list[str] | None, _many("Folder in which files may be written")] = None
    database: Annotated[list[str] | None, _many("Database that may be read: a file, or secret:NAME")] = None
    writable: Annotated[list[str] | None, _many("Database that may be changed")] = None
    secret: Annotated[list[str] | None, _many("Secret that parameters may name")] = None

    def table(self) -> GrantsTable:
        """Return them as a profile has them."""
        return GrantsTable(
            tuple(self.host or ()),
            self.loopback,
            tuple(self.read or ()),
            tuple(self.write or ()),
            tuple(self.database or ()),
            tuple(self.writable or ()),
            tuple(self.secret or ()),
        )


@app.default
def call(
    reference: str,
    /,
    *,
    params: Annotated[str, Parameter(help="JSON, @FILE for a file that holds it, or - for standard input.")] = "{}",
    profile: Annotated[str, Parameter(help="On whose behalf; its grants hold instead of options.")] = "",
    grants: Annotated[Grants | None, Parameter(name="*")] = None,
    timeout: Annotated[int, Parameter(help="Milliseconds; 0 for the skill's own.")] = 0,
    output: Output = "text",
) -> int:
    """Call a skill once, outside of any plan. Nothing is recorded.

    Args:
        reference: NAME, or NAME@VERSION.
    """
    from ..plane.secrets import SecretBox
    from ..plane.skills.granting import grant_parts, granted_secrets
    from ..plane.skills.performing import Ports, SkillPerformer
    from .skills import open_registry

    given = _given(params)
    clock = SystemClock()
    with ExitStack() as held:
        registry = held.enter_context(open_registry())
        found = registry.find(reference)
        table = (grants or Grants()).table()
        if profile:
            if grants is not None and grants != Grants():
                raise UsageFault("--profile and grants are given", fix="give the one or the other")
            table = _granted(profile, found.pin.name, found.pin.version)
        parts = grant_parts(table, project=Path(), clock=clock)
        if "models" in found.traits.capabilities:
            from ..infer.client import Models  # Loads what asks models.

            parts["models"] = held.enter_context(Models(models_folder(load_settings())))
        ports = Ports(clock, SecretBox(load_secrets(), granted_secrets(table, registry)), parts=parts)
        performer = SkillPerformer(found, ports, run_id=clock.unique())
        answer = performer.answer(SkillCall(1, "call", "step", 1, found.reference, given, timeout_ms=timeout))
    return _show(answer, output)


def _given(params: str) -> bytes:
    """Return the parameters, checked and canonical.

    Raises:
        UsageFault: TW1001.
    """
    try:
        if params == "-":
            raw: bytes | str = sys.stdin.buffer.read()
        else:
            raw = Path(params[1:]).read_bytes() if params.startswith("@") else params
        return write_json(read_json(raw))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageFault("--params cannot be read", why=why or "", fix="give a JSON object, or @FILE") from error


def _granted(profile: str, name: str, version: str) -> GrantsTable:
    """Return the grants of a profile that may use a skill.

    Raises:
        ProfileNotFound: TW7014. SkillRefused: TW7005.
    """
    from ..plane.profiles import Profiles
    from .state import open_state

    with open_state() as store:
        table = Profiles(store, store.clock).find(profile).table
    if not table.allows(name, version):
        raise SkillRefused(
            f"the profile {profile} may not use {name}",
            why="it uses what its `skills` allow and do not deny",
            fix=f"tickwork profile set {profile} --allow {name}",
        )
    return table.grants


def _show(answer: Answer, output: Output) -> int:
    made: Any = msgspec.json.decode(answer.output)
    failure = answer.failure
    if output != "text":
        document = {
            "output": made,
            "failure": None if failure is None else msgspec.structs.asdict(failure),
            "usage": msgspec.structs.asdict(answer.usage),
            "labels": list(answer.labels),
        }
        write_document(document, output)
    elif failure is None:
        write_line(msgspec.json.format(answer.output, indent=2).decode())
    else:
        talk(f"{failure.code}: {failure.message}")
    return 0 if failure is None else 1
