"""The one place that evaluates expressions: CEL, bounded before and while it runs, with plain JSON on either side.

Invariants:
    * An expression comes to an end: its source is short, its bounds are reckoned before it is evaluated, and the engine
      counts the rounds of its loops. None ends the process.
    * It comes to the same value on every machine and in every process: no function looks at the machine's time zones,
      and no loop goes over a map, whose order the engine does not fix.
    * Only what it reads is handed to the engine, so the size of the rest of a run's state costs nothing.
"""

import re
from collections.abc import Container, Mapping
from functools import lru_cache
from itertools import takewhile
from typing import Any, Final

import msgspec

from ..driver.shape import is_array, is_table
from .cel_bounds import FUNCTIONS, MAX_WEIGHT, MAX_WORK, SCALAR_WEIGHT, find_excess, is_linear
from .cel_order import LoopOverMap, is_several, loops_over, matched
from .cel_tree import Call, Literal, MapNode, Node, Path, Pattern, paths_read, read_tree, walk
from .errors import ExpressionFailed, ExpressionInvalid
from .extras import missing_package
from .json_text import MAX_DEPTH

NAMES: Final = ("error", "goal", "index", "inputs", "item", "labels", "params", "result", "steps")
"""Variables that there are anywhere. Which of them there are in one place, says who checks an expression there."""

NAMED: Final = ("steps",)
"""Variables of which one member at a time is read, so that it is known which."""

MAX_SOURCE: Final = 4096

_KEPT: Final = 8192
"""Expressions that stay compiled: more than the largest plans have, of a few kilobytes each."""

_RESERVED: Final = frozenset(
    "as break const continue else false for function if import in let loop namespace null package return true var void "
    "while".split()
)
_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*|\[\d{1,9}\])*")
_PATH_PART: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)|(\d+)")
_TYPES: Final = frozenset(
    "bool bytes double dyn duration int list map null_type string timestamp type uint "
    "google.protobuf.Timestamp google.protobuf.Duration".split()
)
_KINDS: Final = {
    "BOOL": "boolean",
    "DOUBLE": "number",
    "INT": "integer",
    "LIST": "array",
    "MAP": "object",
    "NULL": "null",
    "STRING": "string",
    "UINT": "integer",
}
_NOT_JSON: Final = {"BYTES": "bytes", "DURATION": "a duration", "TIMESTAMP": "a point in time", "TYPE": "a type"}
_OFFSET: Final = re.compile(r"UTC|[+-]\d\d:\d\d")
_CHECKER_AT_FAULT: Final = "expression of type 'dyn' cannot be the range of a comprehension"
"""What the checker says of ``x["name"].map(...)``, although it allows ``x.name.map(...)``."""

_AT: Final = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_OVERLOAD: Final = re.compile(r"No matching overloads found : ([^\s(]+)(?:\((.*)\))?")
_OPERATORS: Final = re.compile(r"_?(\W+)_?")


class Compiled(msgspec.Struct, frozen=True):
    """An expression that can be evaluated.

    Attributes:
        paths: What it reads. Order: sorted, none of them the beginning of another.
        direct: Members and indices one after the other, where it is nothing else and needs no engine; else empty.
        leaves: How often it reads something.
        kinds: What it may come to, as JSON Schema names kinds; None where that depends on what it reads.
        loops: Parts of variables that its loops go over.
        members: Whether ``direct`` holds no index, so that whatever has all its members is an object of objects.
    """

    source: str
    paths: tuple[Path, ...]
    direct: tuple[str | int, ...] = ()
    tree: Node | None = None
    program: Any = None
    linear: bool = True
    leaves: int = 1
    kinds: frozenset[str] | None = None
    loops: tuple[Pattern, ...] = ()
    members: bool = False


def check(source: str, names: Container[str] = ("goal", "inputs", "steps")) -> None:
    """Make sure that an expression can be evaluated where some variables are known.

    Raises:
        ExpressionInvalid: TW7022.
    """
    for path in compile_expression(source).paths:
        if path[0] not in names:
            fix = f"known here: {', '.join(name for name in NAMES if name in names) or 'nothing'}"
            raise ExpressionInvalid(f"{path[0]} is not known here", where=_quoted(source), fix=fix)


def reads(source: str) -> frozenset[tuple[str, str]]:
    """Return which members of which variables an expression reads, such as ``("steps", "load")``.

    A variable that is read as a whole has an empty member.

    Raises:
        ExpressionInvalid: TW7022.
    """
    return frozenset((path[0], path[1] if len(path) > 1 else "") for path in compile_expression(source).paths)


def evaluate(source: str, variables: Mapping[str, object]) -> Any:
    """Return what an expression comes to, as plain JSON: None, bool, int, float, str, list or dict.

    Args:
        variables: Plain JSON. It is not changed, and the value may be a part of it.

    Raises:
        ExpressionInvalid: TW7022.
        ExpressionFailed: TW7023, it comes to no value for these variables, or to none of JSON.

    Law: equal variables give equal values, whatever the process, the machine or the order of keys.
    """
    return value_of(compile_expression(source), variables)


def value_of(compiled: Compiled, variables: Mapping[str, object]) -> Any:
    """Return what ``evaluate`` does, for an expression that is compiled already."""
    if compiled.direct:
        return _follow(compiled, variables)
    source = compiled.source
    given = _given(compiled.paths, variables)
    _look_at_size(compiled, given)
    if any(is_several(given, pattern) for pattern in compiled.loops):
        raise ExpressionFailed("a loop over an object", **_unordered(source))
    engine = _engine()
    try:
        found = compiled.program.eval(data=given)
        kind, value = found.type(), found.plain_value()
    except (RuntimeError, ValueError, TypeError, MemoryError) as error:
        raise _failed(source, str(error), variables) from None
    if kind in (engine.error, engine.unknown):
        raise _failed(source, str(value), variables)
    return _plain(source, value)


@lru_cache(maxsize=_KEPT)
def compile_expression(source: str) -> Compiled:
    """Return an expression ready to be evaluated, from what has been compiled before where it is there.

    Raises:
        ExpressionInvalid: TW7022.
    """
    if len(source) > MAX_SOURCE:
        what = f"an expression of {len(source):,} characters"
        fix = f"write at most {MAX_SOURCE:,} characters; split it over several steps"
        raise ExpressionInvalid(what, where=_quoted(source), fix=fix)
    direct = _direct(source)
    if direct:
        path = tuple(str(part) for part in takewhile(lambda part: isinstance(part, str), direct))
        _check_paths(source, (path,))
        return Compiled(source, (path,), direct, members=len(path) == len(direct))
    try:
        program = _compiled(source)
        tree = read_tree(program.serialize())
    except (RuntimeError, ValueError, TypeError, RecursionError) as error:
        raise _invalid(source, str(error)) from None
    _check_calls(source, tree)
    found = [path for path in paths_read(tree) if ".".join(path) not in _TYPES]
    paths = _shortest(found)
    unknown = [path[0] for path in paths if path[0] not in NAMES]
    if unknown:
        fix = f"variables are {', '.join(NAMES)}; a text is written in quotes"
        raise ExpressionInvalid(f"{unknown[0]} is not known", where=_quoted(source), fix=fix)
    _check_paths(source, paths)
    kinds = _kinds(source, str(program.return_type().name()))
    loops = _loops(source, tree)
    return Compiled(source, paths, (), tree, program, is_linear(tree), max(1, len(found)), kinds, loops)


def _kinds(source: str, name: str) -> frozenset[str] | None:
    """Return the kinds of a type of the engine, and refuse one that JSON has no form for."""
    name = name.partition("<")[0]
    if name in _NOT_JSON:
        fix = "write string(...) around it"
        raise ExpressionInvalid(f"the expression comes to {_NOT_JSON[name]}", where=_quoted(source), fix=fix)
    kind = _KINDS.get(name)
    return None if kind is None else frozenset((kind,))


# --- the engine ---


class _Engine(msgspec.Struct, frozen=True):
    environment: Any
    error: Any
    unknown: Any


@lru_cache(maxsize=1)
def _engine() -> _Engine:
    try:
        from cel_expr_python import cel  # pyright: ignore[reportMissingTypeStubs]
        from cel_expr_python.ext import ext_math, ext_strings  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise missing_package(error) from error
    environment = cel.NewEnv(
        variables=dict.fromkeys(NAMES, cel.Type.DYN), extensions=[ext_strings.ExtStrings(), ext_math.ExtMath()]
    )
    return _Engine(environment, cel.Type.ERROR, cel.Type.UNKNOWN)


def _compiled(source: str) -> Any:
    environment = _engine().environment
    try:
        return environment.compile(source)
    except RuntimeError as error:
        if _CHECKER_AT_FAULT not in str(error):
            raise
        return environment.compile(source, disable_check=True)


# --- what may be written ---


def _direct(source: str) -> tuple[str | int, ...]:
    """Return the members and indices that an expression is and nothing else; most are."""
    text = source.strip()
    if not _PATH.fullmatch(text):
        return ()
    path = tuple(name or int(index) for name, index in _PATH_PART.findall(text))
    return () if path[0] not in NAMES or not _RESERVED.isdisjoint(path) else path


def _check_paths(source: str, paths: tuple[Path, ...]) -> None:
    for path in paths:
        if len(path) == 1 and path[0] in NAMED:
            what = f"{path[0]} is read as a whole"
            why = "it has to be plain what an expression depends on"
            raise ExpressionInvalid(what, where=_quoted(source), why=why, fix=f"write {path[0]}.NAME")


def _check_calls(source: str, tree: Node) -> None:
    for node in walk(tree):
        if isinstance(node, MapNode) and node.message:
            raise ExpressionInvalid(f"{node.message} cannot be made here", where=_quoted(source), fix="write a map")
        if not isinstance(node, Call):
            continue
        if node.function not in FUNCTIONS:
            what = f"the function {node.function} cannot be used here"
            raise ExpressionInvalid(what, where=_quoted(source), fix="see the guide's list of functions")
        zone = node.arguments[1:] if node.function.startswith("get") else ()
        if any(not isinstance(part, Literal) or not _OFFSET.fullmatch(part.text or "") for part in zone):
            what = f"{node.function} with the name of a time zone"
            why = "what a zone means differs from machine to machine, and from year to year"
            raise ExpressionInvalid(what, where=_quoted(source), why=why, fix='write an offset, such as "+02:00"')


def _loops(source: str, tree: Node) -> tuple[Pattern, ...]:
    """Return the parts of variables that an expression's loops go over, and refuse one over a map of its own."""
    try:
        return tuple(sorted(loops_over(tree), key=str))
    except LoopOverMap:
        raise ExpressionInvalid("a loop over a map that the expression has made", **_unordered(source)) from None


def _unordered(source: str) -> dict[str, str]:
    why = "a map has no order that is the same in every process"
    fix = "loop over a list; json_transform makes one of the keys or the values of an object"
    return {"where": _quoted(source), "why": why, "fix": fix}


def _shortest(paths: list[Path]) -> tuple[Path, ...]:
    """Return paths of which none begins with another one: that one reads it as well."""
    kept: list[Path] = []
    for path in sorted(set(paths)):
        if not kept or path[: len(kept[-1])] != kept[-1]:
            kept.append(path)
    return tuple(kept)


# --- what it is given ---


def _follow(compiled: Compiled, variables: Mapping[str, object]) -> Any:
    if compiled.members:
        inner: Any = variables
        try:
            for member in compiled.direct:
                inner = inner[member]
        except (KeyError, TypeError):
            pass  # What is not there, and why, is found out below.
        else:
            return inner
    found: object = variables if is_table(variables) else dict(variables)
    for part in compiled.direct:
        if isinstance(part, str):
            if not is_table(found) or part not in found:
                raise _failed(compiled.source, "", variables)
            found = found[part]
        else:
            if not is_array(found) or part >= len(found):
                why = f"the list has {len(found)}" if is_array(found) else f"it is {_kind(found)}"
                what, fix = f"there is no element {part}", "ask with size(...) first"
                raise ExpressionFailed(what, where=_quoted(compiled.source), why=why, fix=fix)
            found = found[part]
    return found


def _given(paths: tuple[Path, ...], variables: Mapping[str, object]) -> dict[str, Any]:
    """Return the part of variables that lies on paths."""
    given: dict[str, Any] = {}
    for path in paths:
        found: Any = variables
        into = given
        for member in path[:-1]:
            if member not in found:
                break
            found = found[member]
            if not is_table(found):
                into[member] = found
                break
            into = into.setdefault(member, {})
        else:
            if path[-1] in found:
                into[path[-1]] = found[path[-1]]
    return given


def _look_at_size(compiled: Compiled, given: dict[str, Any]) -> None:
    """Refuse what would become too large or take too long, before anything is evaluated."""
    tree = compiled.tree
    assert tree is not None, "what is not direct has a tree"
    sizes = {path: measure(compiled.source, _at(path, given)) for path in compiled.paths}
    total = sum(weight for weight, _ in sizes.values())
    if compiled.linear and compiled.leaves * total + len(compiled.source) <= MAX_WEIGHT:
        return

    def measured(path: Path) -> tuple[int, int]:
        known = sizes.get(path)
        if known is None and path[0] not in given:
            return SCALAR_WEIGHT, 0
        return known or measure(compiled.source, _at(path, given))

    def look(pattern: Pattern) -> tuple[int, int]:
        found = [list(value.values()) if is_table(value) else value for value in matched(given, pattern)]
        lists = [value for value in found if is_array(value)]
        longest = max(map(len, lists), default=0)
        heaviest = max((measure(compiled.source, item)[0] for value in lists for item in value), default=SCALAR_WEIGHT)
        return longest, heaviest

    excess = find_excess(tree, measured, look)
    if excess is None:
        return
    amount = f"{excess.amount:,}" if excess.amount < 10**15 else f"10^{len(str(excess.amount)) - 1}"
    if excess.kind == "size":
        what, most = f"the expression may come to {amount} bytes", MAX_WEIGHT
    else:
        what, most = f"the expression may have to look at {amount} bytes", MAX_WORK
    raise ExpressionFailed(
        what,
        where=_quoted(compiled.source),
        why=f"at most {most:,} are allowed, and the bound follows from what it reads",
        fix="read less, or leave the work to a skill such as json_transform or sql_query",
    )


def _at(path: Path, given: Mapping[str, Any]) -> object:
    found: object = given
    for member in path:
        if not is_table(found) or member not in found:
            return None
        found = found[member]
    return found


def measure(source: str, value: object) -> tuple[int, int]:
    """Return size and number of elements of a value, and refuse one that is nested too deeply for the engine."""
    if value is None or isinstance(value, bool | int | float):
        return SCALAR_WEIGHT, 0
    if isinstance(value, str):
        return 4 * len(value) + 2, len(value)
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner for item in level for inner in (item.values() if is_table(item) else item if is_array(item) else ())
        ]
        if not level:
            break
    else:
        fix = f"nest no value more than {MAX_DEPTH} deep"
        raise ExpressionFailed("a value that is nested too deeply", where=_quoted(source), fix=fix)
    try:
        weight = len(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise ExpressionFailed("a value that is no JSON", where=_quoted(source), why=str(error)) from None
    return weight, len(value) if is_table(value) or is_array(value) else weight


# --- what it comes to ---


def _plain(source: str, value: object) -> Any:
    """Return a value of the engine as JSON has it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        # Neither infinity nor what is no number has a form in JSON.
        if value - value == 0:
            return value
        raise _no_json(source, "a number without end" if value == value else "no number")
    if is_array(value):
        return [_plain(source, item) for item in value]
    if is_table(value):
        if not all(isinstance(key, str) for key in value):
            raise _no_json(source, "a map with keys that are no texts", "write string(KEY)")
        return {key: _plain(source, value[key]) for key in sorted(value)}
    kinds = {"bytearray": "bytes", "datetime": "a point in time", "timedelta": "a duration", "Type": "a type"}
    kind = type(value).__name__
    raise _no_json(source, kinds.get(kind, kind), "write string(...) around it")


def _no_json(source: str, what: str, fix: str = "look at the numbers it is made of") -> ExpressionFailed:
    return ExpressionFailed(f"the expression comes to {what}", where=_quoted(source), why="JSON has none", fix=fix)


def _quoted(source: str) -> str:
    line = " ".join(source.encode("utf-8", "backslashreplace").decode().split())
    return line if len(line) <= 160 else f"{line[:157]}..."


def _invalid(source: str, message: str) -> ExpressionInvalid:
    found = _AT.search(message)
    where = _quoted(source)
    if "recursion" in message:
        fix = "use fewer operators and brackets in one expression; split it over several steps"
        return ExpressionInvalid("an expression with too many levels", where=where, why="at most 32 are read", fix=fix)
    if found is None:
        return ExpressionInvalid("the expression cannot be read", where=where, why=message.partition("\n")[0])
    line, column, why = found.groups()
    place = f"{where}, column {column}" if line == "1" else f"{where}, line {line}, column {column}"
    if "undeclared reference" in why:
        fix = f"variables are {', '.join(NAMES)}; a text is written in quotes"
    elif "no matching overload" in why:
        fix = "make both of one kind: double(...), int(...), string(...)"
    else:
        fix = 'write CEL, such as steps.load.output.count > 3 && inputs.mode == "full"'
    return ExpressionInvalid("the expression cannot be read", where=place, why=why.strip()[:300], fix=fix)


def _failed(source: str, message: str, variables: Mapping[str, object]) -> ExpressionFailed:
    """Return why an expression came to no value, in terms of what was written."""
    where = _quoted(source)
    if not message or "Key not found" in message or "SELECT" in message or "No value with name" in message:
        missing = _missing(compile_expression(source).paths, variables)
        if missing is not None:
            what, why = missing
            fix = "name what is there, or ask with has(...) first"
            return ExpressionFailed(what, where=where, why=why, fix=fix)
    found = _OVERLOAD.search(message)
    if found is not None:
        function, kinds = found.groups()
        shown = " and ".join(kind.strip() for kind in (kinds or "").split(","))
        operator = _OPERATORS.fullmatch(function)
        what = f"{operator[1] if operator else function} cannot be done with {shown}"
        if function == "<jump_condition>":
            what = "a condition that is neither true nor false"
        fix = "make them of one kind: double(...), int(...), string(...)"
        return ExpressionFailed(what, where=where, fix=fix)
    if "Iteration budget" in message:
        why = "loops may go round 10,000 times together"
        return ExpressionFailed("too many rounds", where=where, why=why, fix="leave the work to a skill")
    why = message.partition(": ")[2] or message
    return ExpressionFailed(f"the expression comes to no value: {why}", where=where, fix="look at what it reads")


def _missing(paths: tuple[Path, ...], variables: Mapping[str, object]) -> tuple[str, str] | None:
    """Return the first member that is read and is not there, and what is."""
    for path in paths:
        found: object = dict(variables)
        for depth, member in enumerate(path):
            if not is_table(found):
                return f"{'.'.join(path[:depth])} has no members", f"it is {_kind(found)}"
            if member not in found:
                names = ", ".join(sorted(map(str, found))[:20]) or "nothing"
                place = ".".join(path[:depth])
                return (f"{place} has no {member}" if place else f"there is no {member} here"), f"there is {names}"
            found = found[member]
    return None


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if is_array(value) else "a text" if isinstance(value, str) else "a number"
