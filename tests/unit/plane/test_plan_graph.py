"""Plans are drawn."""

from tests.unit.plane.plan_skills import FakeRegistry, step, table
from tickwork.plane.compiling import compile_plan
from tickwork.plane.plan_graph import MAX_LINES, dot, draw, mermaid

PLAN = table(
    step("load", "fetch"),
    step("clean", after=["load"]),
    step("stats", after=["clean"]),
    step("chart", after=["clean", "stats"], when='goal != "a\\"b"'),
    step("news"),
    step("text", after=["stats", "news"], join="any", for_each="[1, 2]"),
    step("ok", "", wait={"signal": "go"}, depends_on=["load"]),
    step("sub", "", plan="inner", depends_on=["text"]),
    step("send", after=["chart", "text", "ok"], approval={"by": ["ann", "bob"], "need": 2}, on_error="continue"),
    plans={"inner": {"name": "inner", "steps": [step("a"), step("b", "", after=["a"], wait={"timer": "1h30m"})]}},
)
COMPILED = compile_plan(PLAN, FakeRegistry())


def test_a_plan_is_drawn_with_characters() -> None:
    assert (
        draw(COMPILED)
        == """\
plan 1

○           load   fetch@1
├─○         clean  echo@1
│ ├─○       stats  echo@1
│ ╰─┼─○     chart  echo@1; when goal != "a\\"b"
│ ○ │ │     news   echo@1
│ ╰─┴─│─○   text   echo@1; for each of [1, 2]; after any
╰─○   │ │   ok     wait for signal go
  │   │ ├─○ sub    plan inner
  ╰───┴─┴─○ send   echo@1; approval of 2 of ann, bob; on error continue

plan inner

○   a  echo@1
╰─○ b  wait 1h30m
"""
    )


def test_a_plan_too_wide_for_lines_is_listed() -> None:
    sources = [step(f"s{index}") for index in range(MAX_LINES + 1)]
    sinks = [step(f"t{index}", after=[f"s{index}"]) for index in range(MAX_LINES + 1)]
    drawn = draw(compile_plan(table(*sources, *sinks), FakeRegistry())).splitlines()
    assert drawn[2] == "○ s0   echo@1"
    assert drawn[-1] == "○ t32  echo@1  after s32"


def test_texts_cannot_break_out_of_the_languages_of_graphs() -> None:
    drawn = dot(COMPILED)
    assert 'n0_1 -> n0_3 [label="goal != \\"a\\\\\\"b\\""];' in drawn
    assert "n0_7 -> n1_0 [style=dashed];" in drawn
    assert drawn.count("{") == drawn.count("}")
    flow = mermaid(COMPILED)
    assert 'n0_1 -->|"goal #33;= #34;a#92;#34;b#34;"| n0_3' in flow
    assert "n0_7 -.-> p1" in flow
    assert 'n1_1(["b<br/>wait 1h30m"])' in flow
