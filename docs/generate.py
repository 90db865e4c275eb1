"""Writes the reference pages that repeat what the code says: commands, settings, the world file, the records.

python docs/generate.py            write them
python docs/generate.py --check    exit 1 if one is not what would be written
"""

import argparse
import ast
import inspect
import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Final

import msgspec
from msgspec import inspect as shapes
from rich.console import Console

from tickwork import kinds, records
from tickwork.authoring import scripts
from tickwork.cli.app import build_app, command_words
from tickwork.cli.config import Settings
from tickwork.driver import tables
from tickwork.driver.world import world_schema
from tickwork.plane import tables as plan_tables
from tickwork.plane.plan_text import plan_schema

FOLDER: Final = Path(__file__).resolve().parent / "reference"

WORLD_OPENING: Final = """# The world file

A world is one TOML file (`world.toml`), UTF-8. Paths in it are relative to its folder. Unknown keys are refused, with
the nearest name that exists. The same rules are published as a [JSON Schema](world.schema.json) for editors: put
`#:schema world.schema.json` in the first line.

A name is letters, digits, `_`, `-`, `.` and `/`, at most 120 characters.
"""

WORLD_SECTIONS: Final[tuple[tuple[str, type[msgspec.Struct] | None, str], ...]] = (
    ("The world", tables.WorldTable, "Keys at the top of the file; the tables are described below."),
    (
        "`[agents.NAME]`",
        tables.AgentTable,
        (
            "Exactly one of `module` and `native`. For a module, each list defaults to what its manifest declares; a\n"
            "list that is given grants what it names, and what is declared and not granted is refused when used."
        ),
    ),
    ("`[templates.NAME]`", None, "What agents spawn others from: the keys of an agent, without `count`."),
    ("`limits`", tables.LimitsTable, "A key of an agent or template."),
    (
        "`supervision`",
        tables.SupervisionTable,
        "A key of an agent or template; see [When agents fail](../guides/failures.md).",
    ),
    ("`[topics.NAME]`", None, "Every topic that is used must be declared; the table is empty."),
    ("`[skills.NAME]`", tables.SkillTable, "See [Effects](../guides/effects.md)."),
    ("`[models.NAME]`", tables.ModelTable, "See [Models in runs](../guides/inference.md)."),
    (
        "`[windows.NAME]`",
        tables.WindowTable,
        "Bytes that one agent writes and others read; see [Windows](../guides/windows.md).",
    ),
    ("`[[tasks]]`", tables.TaskTable, "Work the run begins with; agents may add more."),
    (
        "`[feeds.NAME]`",
        tables.FeedTable,
        "A file of inputs, pinned by digest in the run's header. Exactly one of `to` and `topic`.",
    ),
)

SCRIPTS_OPENING: Final = """# Test scripts

A script is a TOML file in the `tests` folder of an agent's project: what one agent is told, and when. Whatever the
agent's manifest declares exists in the small world in which it is tried: its topics, models, skills and windows, and an
agent for each name that it may send to or spawn, which does what the script says and nothing else. [Testing
agents](../guides/testing-agents.md) begins at the beginning.

Beside `NAME.toml` lies `NAME.golden`: what the agent is expected to do. Unknown keys and names are refused with their
line, and with the nearest name that exists.
"""

SCRIPTS_SECTIONS: Final[tuple[tuple[str, type[msgspec.Struct] | None, str], ...]] = (
    ("The script", scripts.ScriptTable, "Keys at the top of the file; the tables are described below."),
    (
        "`[[send]]`",
        scripts.SendTable,
        (
            "A message for the agent. Its body is exactly one of `text`, `json` and `hex`. What another agent says is\n"
            "heard at tick 2 at the earliest; what comes from outside, at any tick. In one tick, agents are heard\n"
            "before what comes from outside."
        ),
    ),
    (
        "`[[answer]]`",
        scripts.AnswerTable,
        (
            "What a call of a skill, or a request to a model, comes to: exactly one of `skill` and `model`, and a\n"
            "body as in `[[send]]` or an `error`. Each call takes the next answer of its name; where there is none\n"
            "left it ends in `unsupported`."
        ),
    ),
    ("`[windows.NAME]`", scripts.ScriptWindow, "A window that the agent writes; without a table, a frame of 64 KiB."),
)

SCRIPTS_END: Final = """
## The golden file

One line for each turn of the agent: its tick, what was asked of it, and what it returned. A turn that failed is named
by its status: `trap`, `out_of_fuel`, `denied` and so on. Indented below it is what the turn left in its outbox, a line
for each frame in their order: the kind, what it is for, the encoding if it is not bytes, and the body. A body that is
plain text stands in quotes, another one in hexadecimal, and of one over 200 bytes its length and SHA-256.

```text
tick 0 init
tick 3 step, returns 20
    send friend "1"
tick 24 step, returns 23
    publish totals 0300000000000000
tick 31 shutdown
    metric "total=3"
```

## The ways

| Way | What it would find |
|---|---|
| as it is | what differs from the golden file |
| not optimised | a compiler whose optimisations change what a module does |
| in 2 workers | results that depend on the process |
| restored at every tick | state outside the memory, globals and table that a snapshot holds |

All must come to one head, or the command ends with [TW5005](../errors/TW5005.md). `--quick` leaves out all but the
first.
"""

PLAN_OPENING: Final = """# The plan

A plan is one file of TOML or JSON, UTF-8. Unknown keys are refused, with the nearest name that exists. The same rules
are published as a [JSON Schema](plan.schema.json) for editors and language models: `tickwork plan schema` prints it,
and `#:schema plan.schema.json` in the first line of a TOML file tells an editor of it. [Plans](../guides/plans.md)
begins at the beginning, and has what expressions may read and call.

A name is lower-case letters, digits and `_`, at most 64 characters, and begins with a letter. Durations are texts such
as `250ms`, `30s` or `1h30m`; money is a text of US dollars such as `0.25`.
"""

PLAN_SECTIONS: Final[tuple[tuple[str, type[msgspec.Struct] | None, str], ...]] = (
    ("The file", plan_tables.PlanTable, "Keys at the top; the tables are described below."),
    ("`[inputs.NAME]`", plan_tables.InputTable, "One without a default has to be given, unless it is optional."),
    (
        "`[[steps]]`",
        plan_tables.StepTable,
        (
            "Exactly one of `skill`, `wait` and `plan`. A step begins when what it depends on has ended, as `join`\n"
            "says; an expression that reads `steps.NAME` makes it depend on that step too."
        ),
    ),
    (
        "`retry`",
        plan_tables.RetryTable,
        (
            "A key of a step. The wait before attempt n + 1 is `initial` times `factor` to the power n - 1, at most\n"
            "`longest`; with `jitter` it is a share of that, between a half and the whole, drawn from the run's seed."
        ),
    ),
    ("`wait`", plan_tables.WaitTable, "A key of a step. Exactly one of `timer`, `signal` and `input`."),
    ("`approval`", plan_tables.ApprovalTable, "A key of a step. Who decides is shown exactly what would be called."),
    ("`fallback`, `compensate`", plan_tables.CallTable, "Keys of a step."),
    ("`cache`", plan_tables.CacheTable, "A key of a step; for pure and idempotent skills alone."),
    ("`[budget]`", plan_tables.BudgetTable, "The agent's own limits hold beside these."),
    (
        "`[plans.NAME]`",
        None,
        "A plan of its own, with all keys of one. Its steps may run plans that lie around it, too.",
    ),
)

RECORDS_OPENING: Final = """# Records

The nouns of `tickwork.records`: frozen data, written as arrays of their fields in this order. A field may be appended
in a later minor version of the format and is never moved; numbers are never given another meaning.
"""

SETTINGS_OPENING: Final = """# Settings

What decides a run stands in its [world file](world.md) and is pinned in the journal's header. Settings decide only how
a command is carried out on this machine; none of them can change a head.

Order: an option on the command line, an environment variable (`TICKWORK_` and the key in capitals, such as
`TICKWORK_WORKERS=2`), `tickwork.toml` in the current folder, `tickwork.toml` in the user's configuration folder, the
default. `tickwork doctor` shows where that folder is. `NO_COLOR` set to anything turns colours off.

| Key | Value | Default | Meaning |
|---|---|---|---|
"""


def settings_page() -> str:
    """Return the page of the settings."""
    return SETTINGS_OPENING + "".join(_rows(Settings))


Sections = tuple[tuple[str, type[msgspec.Struct] | None, str], ...]


def world_page() -> str:
    """Return the page of the world file."""
    return _sections(WORLD_OPENING, WORLD_SECTIONS)


def plan_page() -> str:
    """Return the page of plans."""
    return _sections(PLAN_OPENING, PLAN_SECTIONS)


def scripts_page() -> str:
    """Return the page of test scripts."""
    return _sections(SCRIPTS_OPENING, SCRIPTS_SECTIONS) + SCRIPTS_END


def _sections(opening: str, sections: Sections) -> str:
    parts = [opening]
    for title, table, text in sections:
        parts.append(f"\n## {title}\n\n{text}\n")
        if table is not None:
            parts.append("\n| Key | Value | Default | Meaning |\n|---|---|---|---|\n")
            parts.extend(_rows(table))
    return "".join(parts)


def _rows(table: type[msgspec.Struct]) -> Iterator[str]:
    described = shapes.type_info(table)
    assert isinstance(described, shapes.StructType)
    for field in described.fields:
        meaning = _description(field.type) or f"Tables, each under its name: see `[{field.encode_name}.NAME]`."
        if isinstance(field.type, shapes.StructType):
            meaning = f"See `{field.encode_name}`."
        yield f"| `{field.encode_name}` | {_values(field.type)} | {_default(field)} | {meaning} |\n"


def _description(shape: shapes.Type) -> str:
    """Return the first description among a type's layers."""
    if isinstance(shape, shapes.Metadata):
        own = (shape.extra_json_schema or {}).get("description", "")
        return str(own) or _description(shape.type)
    if isinstance(shape, shapes.UnionType):
        return next(filter(None, map(_description, shape.types)), "")
    return ""


def _values(shape: shapes.Type) -> str:
    match shape:
        case shapes.Metadata():
            return _values(shape.type)
        case shapes.UnionType():
            options = [option for option in shape.types if not isinstance(option, shapes.NoneType)]
            return " or ".join(dict.fromkeys(map(_values, options)))
        case shapes.LiteralType():
            return ", ".join(f'`"{value}"`' if isinstance(value, str) else f"`{value}`" for value in shape.values)
        case shapes.IntType() | shapes.FloatType():
            return _numbers(shape)
        case shapes.StrType():
            return _texts(shape)
        case shapes.BoolType():
            return "`true`, `false`"
        case shapes.VarTupleType():
            return (
                "tables" if isinstance(shape.item_type, shapes.StructType) else f"list of {_values(shape.item_type)}s"
            )
        case _:
            return "any value" if isinstance(shape, shapes.AnyType) else "table"


_TEXTS: Final[Mapping[str | None, str]] = {
    None: "text",
    tables.NAME_PATTERN: "name",
    tables.PEER_PATTERN: "name",
    plan_tables.NAME_PATTERN: "name",
    plan_tables.DURATION_PATTERN: "duration",
    plan_tables.MONEY_PATTERN: "money",
    plan_tables.SKILL_PATTERN: "skill",
    plan_tables.VERSION_PATTERN: "version",
}


def _texts(shape: shapes.StrType) -> str:
    return _TEXTS.get((shape.pattern or "").removeprefix("^$|") or None, '`"file:Class"`')


def _numbers(shape: shapes.IntType | shapes.FloatType) -> str:
    if isinstance(shape, shapes.FloatType):
        return "number" if shape.ge is None else f"{shape.ge:g} to {shape.le:g}"
    assert shape.ge is not None, "every integer of a table has a lower bound"
    bounded = shape.le is not None and shape.le < tables.MAX_INTEGER
    return f"{shape.ge:,} to {shape.le:,}" if bounded else f"{shape.ge:,} or more"


def _default(field: shapes.Field) -> str:
    value = field.default
    if field.required:
        return "required"
    if value is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT:
        # A key that may be left unset, which means something else than any value.
        return ""
    if value is None:
        return ""
    if value is msgspec.NODEFAULT or value in ({}, (), "") or isinstance(value, msgspec.Struct):
        return "empty"
    return f"`{msgspec.json.encode(value).decode()}`"


def records_page() -> str:
    """Return the page of the records."""
    parts = [RECORDS_OPENING, "\n## Numbers\n\n| Name | Value | Meaning |\n|---|---|---|\n"]
    parts.extend(_constants())
    nouns = _nouns()
    parts.append("\n## Kinds\n")
    for noun in nouns:
        if issubclass(noun, IntEnum):
            members = ", ".join(f"`{member.name}` {member.value}" for member in noun)
            parts.append(f"\n### {noun.__name__}\n\n{_plain(inspect.getdoc(noun))}\n\n{members}\n")
    parts.append("\n## Structs\n")
    parts.extend(_struct(noun) for noun in nouns if issubclass(noun, msgspec.Struct))
    return "".join(parts)


def _nouns() -> list[type]:
    """Return the kinds, and the public classes of the records, in the order they are written."""
    homes = (kinds.__name__, records.__name__)
    own = [noun for _, noun in inspect.getmembers(records, inspect.isclass) if noun.__module__ in homes]
    return sorted(own, key=lambda noun: (homes.index(noun.__module__), inspect.getsourcelines(noun)[1]))


def _constants() -> Iterator[str]:
    body = ast.parse(inspect.getsource(records)).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        value = getattr(records, node.target.id)
        shown = f"{value:#x}" if isinstance(value, int) and value > 0xFFFFFF else str(value)
        said = following.value if isinstance(following, ast.Expr) else None
        meaning = _plain(said.value) if isinstance(said, ast.Constant) and isinstance(said.value, str) else ""
        yield f"| `{node.target.id}` | `{shown}` | {meaning} |\n"


def _struct(noun: type[msgspec.Struct]) -> str:
    opening, _, attributes = (inspect.getdoc(noun) or "").partition("\nAttributes:\n")
    fields = ", ".join(f"`{name}`" for name in noun.__struct_fields__)
    said = re.findall(r"^    (\S[^:]*): (.*(?:\n        .*)*)", attributes, flags=re.MULTILINE)
    listed = "".join(f"- `{name}`: {_plain(text)}\n" for name, text in said)
    return f"\n### {noun.__name__}\n\n{_plain(opening)}\n\nFields: {fields}.\n" + (f"\n{listed}" if listed else "")


def _plain(text: str | None) -> str:
    """Return docstring text as one line of Markdown."""
    return " ".join((text or "").split()).replace("``", "`")


CLI_OPENING: Final = """# The command line

Data goes to standard output, talk to standard error. With `-o json` a command prints exactly one document, with
`-o jsonl` one object a line; errors are printed there too, with their [code](../errors/index.md). Every document names
its `schema_version`. The [exit statuses](exit-codes.md) are the same for all commands, the [settings](settings.md) too.
`NO_COLOR` is honoured. `tickwork --version` prints the version.
"""


def cli_page() -> str:
    """Return the page of the commands."""
    return CLI_OPENING + "".join(_command(words) for words in command_words(build_app()))


def _command(words: list[str]) -> str:
    """Return one command's section: its help, options in a table."""
    text = io.StringIO()
    program = build_app()
    program.help_formatter = "plain"
    program.help_print(words, console=Console(file=text, width=10_000, no_color=True))
    shown, _, examples = text.getvalue().partition("Examples:\n")
    usage, line, *rest = [part for part in shown.split("\n") if part.strip()]
    rows = [row.strip().partition(": ") for row in rest if row.startswith("  ")]
    table = "".join(f"| `{option}` | {meaning} |\n" for option, _, meaning in rows).replace(
        "CHOICE|INT", "CHOICE\\|INT"
    )
    opening = f"\n## tickwork {' '.join(words)}\n\n{line}\n\n```text\n{usage.removeprefix('Usage: ')}\n```\n"
    options = f"\n| Argument or option | Meaning |\n|---|---|\n{table}"
    return f"{opening}{options}\n```text\n{inspect.cleandoc(examples)}\n```\n"


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "cli.md": cli_page,
    "records.md": records_page,
    "agent-tests.md": scripts_page,
    "plan.md": plan_page,
    "plan.schema.json": lambda: plan_schema().decode(),
    "settings.md": settings_page,
    "world.md": world_page,
    "world.schema.json": lambda: world_schema().decode(),
}


def main() -> int:
    """Write or check the pages; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if a page is not up to date")
    check = parser.parse_args().check
    stale = [name for name, page in PAGES.items() if _differs(FOLDER / name, page())]
    for name in stale:
        if check:
            sys.stderr.write(f"docs/reference/{name} is not what docs/generate.py writes\n")
        else:
            (FOLDER / name).write_text(PAGES[name](), encoding="utf-8")
    return 1 if stale and check else 0


def _differs(path: Path, text: str) -> bool:
    return not path.exists() or path.read_text(encoding="utf-8") != text


if __name__ == "__main__":
    sys.exit(main())
