"""Expressions: what they come to, what is refused, and that none of them ends the process or takes long."""

import json
import random
import subprocess
import sys
import threading
from typing import Any

import pytest

from tests.support import environment
from tickwork.plane import cel
from tickwork.plane.cel_bounds import MAX_WEIGHT, MAX_WORK, reckon
from tickwork.plane.errors import ExpressionFailed, ExpressionInvalid, PlaneError

ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "x"}]
VARIABLES: dict[str, Any] = {
    "inputs": {"city": "JFK", "n": 3, "r": 1.5, "none": None, "list": [3, 1, 2], "big": 2**63},
    "steps": {"load": {"output": {"rows": ROWS, "count": 3}, "status": "succeeded", "error": None}},
    "item": 7,
    "index": 0,
    "goal": "report",
}


def value(source: str, variables: dict[str, Any] | None = None) -> Any:
    return cel.evaluate(source, VARIABLES if variables is None else variables)


def fails(source: str, variables: dict[str, Any] | None = None) -> PlaneError:
    with pytest.raises((ExpressionFailed, ExpressionInvalid)) as caught:
        value(source, variables)
    return caught.value


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("inputs.city", "JFK"),
        (" steps.load.output.rows[1].b ", "y"),
        ('steps["load"].output.count', 3),
        ("steps.load.output.rows", ROWS),
        ("inputs.n + 1", 4),
        ("inputs.r * 2.0", 3.0),
        ("double(inputs.n) * inputs.r", 4.5),
        ("inputs.n > 2.5", True),
        ("inputs.none == null", True),
        ('"city" in inputs && inputs["ci" + "ty"] == "JFK"', True),
        ("inputs.big", 2**63),
        ("has(steps.load.output.nothing)", False),
        ('has(inputs.city) && inputs.city.startsWith("J")', True),
        ('steps.load.output.rows.filter(r, r.b == "x").map(r, r.a)', [1, 3]),
        ("steps.load.output.rows.exists(r, r.a == 2)", True),
        ('steps.load.output.rows.map(r, {"id": r.a, "name": r.b + "!"})[2].name', "x!"),
        ('inputs.list.map(i, string(i)).join(", ")', "3, 1, 2"),
        ("math.greatest(inputs.n, 2)", 3),
        ("math.greatest([1, 5, 2])", 5),
        ('"a,b".split(",")', ["a", "b"]),
        ('inputs.city.lowerAscii().replace("j", "J")', "Jfk"),
        ('timestamp("2026-03-01T12:00:00Z").getHours("+02:00")', 14),
        ('string(timestamp("2026-03-01T00:00:00Z") + duration("36h"))', "2026-03-02T12:00:00Z"),
        ("inputs.nothing == 1 || true", True),
        ("type(inputs.n) == int", True),
        ("[1, 2.0, null, true]", [1, 2.0, None, True]),
        ('{"b": 1, "a": [2]}', {"a": [2], "b": 1}),
        ("7u", 7),
    ],
)
def test_an_expression_comes_to_plain_json(source: str, expected: Any) -> None:
    found = value(source)
    assert found == expected
    assert type(found) is type(expected)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("inputs.town", "TW7023", ("inputs has no town", "there is", "city")),
        ("steps.clean.output", "TW7023", ("steps has no clean", "load")),
        ("steps.load.output.rows[9]", "TW7023", ("no element 9", "has 3")),
        ("inputs.city[0]", "TW7023", ("no element 0", "a text")),
        ("item.name", "TW7023", ("item has no members", "a number")),
        ("result.x", "TW7023", ("there is no result here",)),
        ("inputs.n * inputs.r", "TW7023", ("* cannot be done with int64 and double", "double(...)")),
        ("inputs.city ? 1 : 2", "TW7023", ("neither true nor false",)),
        ("1 / 0", "TW7023", ("divide by zero",)),
        ("9223372036854775807 + 1", "TW7023", ("overflow",)),
        ("1.0 / 0.0", "TW7023", ("without end",)),
        ('"a".matches("[")', "TW7023", ("missing ]",)),
        ("{1: 2}", "TW7023", ("keys that are no texts", "string(KEY)")),
        ('b"x"', "TW7022", ("bytes", "string(...)")),
        ("timestamp(0)", "TW7022", ("a point in time",)),
        ('[timestamp("2026-03-01T00:00:00Z")]', "TW7023", ("a point in time",)),
        ("town", "TW7022", ("undeclared reference", "inputs")),
        ("1 +", "TW7022", ("column 4",)),
        ("1 == 1.0", "TW7022", ("no matching overload", "double(...)")),
        ("inputs.in", "TW7022", ("cannot be read",)),
        ("", "TW7022", ("cannot be read",)),
        ("steps", "TW7022", ("steps is read as a whole", "steps.NAME")),
        ("steps.map(s, s)", "TW7022", ("steps is read as a whole",)),
        ("steps[goal].output", "TW7022", ("steps is read as a whole",)),
        ("inputs[goal]", "TW7023", ("no value",)),
        ('"%s".format([1])', "TW7022", ("format cannot be used",)),
        ("google.protobuf.Int32Value{value: 1}", "TW7022", ("cannot be made here",)),
        ('timestamp(0).getHours("Europe/Berlin")', "TW7022", ("time zone", '"+02:00"')),
        ("timestamp(0).getHours(goal)", "TW7022", ("time zone",)),
        ('{"a": 1, "b": 2}.map(k, k)', "TW7022", ("a loop over a map that the expression has made",)),
        ('[{"a": 1, "b": 2}].map(m, m.map(k, k))', "TW7022", ("a loop over a map",)),
        ('(inputs.n > 1 ? {"a": 1, "b": 2} : inputs.list).map(k, k)', "TW7022", ("a loop over a map",)),
        ('"\ud800"', "TW7022", ()),
        ("1" * 5000, "TW7022", ("5,000 characters",)),
    ],
)
def test_what_has_no_value_says_why_and_what_to_do(source: str, code: str, words: tuple[str, ...]) -> None:
    error = fails(source)
    assert error.code == code
    text = str(error)
    text.encode()
    assert all(word in text for word in words), text


def test_made_maps_may_be_read_and_returned() -> None:
    assert value('[{"a": 1, "b": [2]}].filter(m, m.a > 0).map(m, m.b.map(x, x + 1))') == [[3]]
    assert value('{"only": 1}.map(k, k)') == ["only"]
    assert value('steps.load.output.rows.map(r, {"t": r.b, "n": 1}).filter(m, m.n == 1).map(m, m.t)') == ["x", "y", "x"]


BOMBS = {
    "texts grown by map": "['0123456789']" + ".map(a, a+a+a+a+a+a+a+a+a+a)" * 8 + ".map(a, size(a))",
    "lists grown by map": "[[1,2,3,4,5,6,7,8,9,10]]" + ".map(a, a+a+a+a+a+a+a+a+a+a)" * 7,
    "lists that share": "[[0]]" + ".map(a, [a,a,a,a,a,a,a,a,a,a])" * 12,
    "lists that share, compared": "[[0]]" + ".map(a, [a,a,a,a,a,a,a,a,a,a])" * 9 + ".map(a, a == a)",
    "loops in loops": "[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, " * 6 + "true" + "))" * 6,
    "a list searched for each of its own": "inputs.long.all(i, i in inputs.long)",
    "replaced by itself": 'inputs.text.replace("a", inputs.text)',
    "joined with itself": "inputs.letters.join(inputs.text)",
    "matched with what it is": "inputs.text.matches(inputs.text)",
    "found in itself": "inputs.long.map(i, inputs.text.contains(inputs.text))",
    "a long list copied in every round": "inputs.long.map(i, i)",
    "squared": "inputs.long.map(a, inputs.long)",
    "brackets": "(" * 2000 + "1" + ")" * 2000,
    "lists in lists": "[" * 2000 + "]" * 2000,
    "many sums": "1" + "+1" * 2000,
    "many members": "inputs.long" + "[0]" * 1300,
    "calls in calls": "size(" * 500 + "inputs.long" + ")" * 500,
}
HEAVY = {"long": list(range(9000)), "text": "a" * 200_000, "letters": ["a"] * 9000}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_goes_off(name: str) -> None:
    error = fails(BOMBS[name], {"inputs": HEAVY})
    assert error.fix


@pytest.mark.parametrize(
    "source",
    [
        "inputs.long.all(i, i >= 0)",
        "inputs.short.filter(i, i % 2 == 0).size() == 750",
        'inputs.rows.filter(r, r.city == inputs.city).map(r, r.name + " of " + r.city).size() == 500',
        "inputs.rows.map(r, r.tags.filter(t, t != r.name)).size() == 1000",
        "inputs.rows.filter(r, r.id in inputs.ids).size() == 300",
        'inputs.text.matches("^(a|aa)+$")',
        'inputs.rows.exists(r, r.date.matches("^\\\\d{4}-\\\\d{2}-\\\\d{2}$"))',
    ],
)
def test_honest_work_on_much_data_is_done(source: str) -> None:
    rows = [
        {"id": i, "city": "JFK" if i % 2 else "EWR", "name": f"n{i}", "tags": ["a", "b", f"n{i}"], "date": "2026-03-01"}
        for i in range(1000)
    ]
    inputs = {**HEAVY, "short": list(range(1500)), "rows": rows, "city": "JFK", "ids": list(range(300))}
    assert value(source, {"inputs": inputs}) is True


def test_a_value_that_is_nested_too_deeply_is_refused() -> None:
    deep: Any = 1
    for _ in range(50_000):
        deep = [deep]
    assert "nested" in fails("inputs.deep == inputs.deep", {"inputs": {"deep": deep}}).what
    assert "no JSON" in fails("size(inputs.odd) > 0", {"inputs": {"odd": [object()]}}).what


def _draw(source: random.Random, depth: int, names: tuple[str, ...]) -> str:
    """Return an expression drawn at random, of lists and texts."""
    if depth == 0:
        return source.choice((*names, "inputs.list", "inputs.words", '"ab"', "[1, 2]", "inputs.words[0]"))
    one = _draw(source, depth - 1, names)
    other = _draw(source, depth - 1, names)
    inner = f"v{depth}"
    return source.choice(
        (
            f"({one} + {other})",
            f"[{one}, {other}]",
            f"{one}.map({inner}, {_draw(source, depth - 1, (*names, inner))})",
            f"{one}.filter({inner}, {inner} == {inner})",
            f'{{"k": {one}, "l": {other}}}',
            f"(size({one}) > 2 ? {one} : {other})",
            f'{one}.map({inner}, string({inner})).join("-")',
            f"{one}.replace({other}, {one})",
            f'{one}.split("")',
        )
    )


def test_nothing_comes_to_more_than_was_reckoned() -> None:
    drawn = random.Random(5)
    variables = {"inputs": {"list": list(range(12)), "words": ["some", "w\u00f6rds", "", "and more"]}}
    came = 0
    for _ in range(1500):
        text = _draw(drawn, drawn.randrange(1, 4), ())
        try:
            found = value(text, variables)
        except PlaneError:
            continue
        came += 1
        compiled = cel.compile_expression(text)
        if compiled.tree is not None:
            sizes = {path: cel.measure(text, _at(path, variables)) for path in compiled.paths}
            size, work = reckon(compiled.tree, lambda path, sizes=sizes: sizes.get(path, (64, 16)))  # type: ignore[misc]
            assert len(json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()) <= size <= MAX_WEIGHT
            assert work <= MAX_WORK
    assert came > 300


def _at(path: tuple[str, ...], value: Any) -> Any:
    for name in path:
        value = value[name]
    return value


@pytest.mark.slow
def test_every_process_comes_to_the_same() -> None:
    program = """
import json
from tickwork.plane import cel
value = {"inputs": {"one": {"k": 1}, "m": {"b": 1, "a": 2, "zz": 3, "q": 4}, "rows": [{"k": "b"}, {"k": "a"}]}}
sources = (
    "inputs.one.map(k, k + string(inputs.one[k]))",
    'inputs.rows.map(r, {"x": r.k, "y": 1, "z": [r.k]})',
    "inputs.m",
    '{"q": 1, "a": inputs.m, "c": 3} == {"c": 3, "a": inputs.m, "q": 1}',
)
print(json.dumps([cel.evaluate(source, value) for source in sources]))
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment()
        ).stdout
        for _ in range(4)
    }
    assert len(found) == 1


@pytest.mark.parametrize(
    "source",
    [
        "inputs.m.map(k, k)",
        'inputs["m"].exists(k, k == "a")',
        "inputs.rows.map(r, r.m.map(k, k))",
        "inputs.rows.filter(r, r.n > 0).map(r, r.m)[0].map(k, k)",
        "inputs.rows[inputs.n].m.all(k, true)",
        "(inputs.n > 5 ? inputs.rows : inputs.m).map(k, k)",
        "[inputs.m].map(m, m.map(k, k))",
        '{"x": inputs.m}.x.map(k, k)',
        "(inputs.rows + [inputs.m])[1].map(k, k)",
        "inputs.deep.x.map(r, r.y).map(m, m.map(k, k))",
    ],
)
def test_a_loop_over_an_object_is_refused(source: str) -> None:
    pair = {"b": 1, "a": 2}
    inputs = {"m": pair, "rows": [{"n": 1, "m": pair}], "n": 0, "deep": {"x": [{"y": pair}]}}
    error = fails(source, {"inputs": inputs})
    assert (error.what, error.code) == ("a loop over an object", "TW7023")


def test_an_object_of_one_member_may_be_looped_over() -> None:
    assert value("inputs.m.map(k, k)", {"inputs": {"m": {"only": 1}}}) == ["only"]


def test_threads_may_evaluate_at_once() -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        for turn in range(200):
            found = value("inputs.list.map(i, i * item).size() + item", {**VARIABLES, "item": number})
            if found != 3 + number or value(f"item == {number}{turn}", {"item": 1}):
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_needs_no_engine_comes_to_what_the_engine_says() -> None:
    drawn = random.Random(3)
    tree: Any = {"a": [1, {"b": "x", "c": [[], {"a": None}]}], "b": {"a": 1.5, "c": True}, "c": "text"}
    came = 0
    for _ in range(2000):
        path = "inputs" + "".join(drawn.choice((".a", ".b", ".c", "[0]", "[1]")) for _ in range(drawn.randrange(1, 5)))
        if path.startswith("inputs["):
            continue
        found: list[Any] = []
        for source in (path, f"dyn({path})"):
            try:
                found.append(value(source, {"inputs": tree}))
                came += 1
            except ExpressionFailed:
                found.append(ExpressionFailed)
        assert found[0] == found[1], path
        assert cel.compile_expression(path).direct
    assert came > 200


def test_what_an_expression_reads_is_known() -> None:
    source = 'has(steps.load.output.x) && inputs.n > 1 && [1].exists(inputs2, inputs2 > index) && goal != ""'
    assert cel.reads(source) == {("steps", "load"), ("inputs", "n"), ("index", ""), ("goal", "")}
    assert cel.reads('[{"a": 1}].map(item, item.a)') == frozenset()
    assert cel.compile_expression('steps.a["output"].b[0] + steps.a.output.b[1]').paths == (
        ("steps", "a", "output", "b"),
    )


def test_a_variable_that_is_not_known_in_a_place_is_refused_there() -> None:
    cel.check("inputs.n > steps.load.output.n")
    with pytest.raises(ExpressionInvalid, match="item is not known here"):
        cel.check("item > 1")
    cel.check("item > 1", {"item"})


@pytest.mark.parametrize(
    ("source", "kinds"),
    [("inputs.n > 1", {"boolean"}), ("size(inputs.n)", {"integer"}), ("[item]", {"array"}), ("inputs.n", None)],
)
def test_the_kind_of_some_expressions_is_known_beforehand(source: str, kinds: set[str] | None) -> None:
    assert cel.compile_expression(source).kinds == kinds
