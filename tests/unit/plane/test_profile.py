"""Tables of profiles: what they allow, what they pin, and what is wrong with one."""

from pathlib import Path

import msgspec
import pytest

from tickwork.plane.compiled import Budget
from tickwork.plane.errors import ProfileInvalid
from tickwork.plane.profile import (
    DEFAULT_TABLE,
    HARMLESS,
    SECTIONS,
    GrantsTable,
    ProfileTable,
    SkillsTable,
    decode_profile,
    duration_us,
    encode_profile,
    parse_profile,
    read_profile,
    with_changes,
)

TOML = """
name = "analyst"
owner = "ann"
description = "Reads observations and writes reports."
tainted = ["notify if params.url.startsWith('https://hooks.example.com/')"]
approvers = ["ann", "bob"]
[skills]
allow = ["sql_query", "llm_invoke@2", "chart.*"]
deny = ["chart.publish"]
[grants]
hosts = ["api.example.com"]
databases = ["weather.db"]
[planner]
kind = "llm"
model = "small"
[rate]
runs = 10
per = "1m"
burst = 2
[budget]
usd = "0.50"
soft_usd = "0.25"
tokens = 20000
calls = 40
[spending]
day_usd = "5"
[memory]
tokens = 1000
"""


def test_a_file_says_all_of_an_agent() -> None:
    table = parse_profile(TOML, Path("analyst.toml"))
    assert (table.name, table.owner, table.planner.model, table.rate.burst) == ("analyst", "ann", "small", 2)
    pin = table.pin(7)
    assert (pin.name, pin.version, pin.digest) == ("analyst", 7, table.digest())
    assert pin.budget == Budget(500_000, 250_000, 20_000, 40)
    assert (pin.tainted, pin.approvers) == (table.tainted, ("ann", "bob"))


@pytest.mark.parametrize(
    ("hosts", "anywhere"),
    [((), False), (("a.example",), False), (("*.example",), False), (("a.example", "*"), True), (("*:8443",), True)],
)
def test_a_run_knows_whether_skills_may_reach_any_host(hosts: tuple[str, ...], anywhere: bool) -> None:
    assert ProfileTable("p", grants=GrantsTable(hosts=hosts)).pin(1).anywhere is anywhere


def test_json_says_the_same() -> None:
    table = parse_profile(TOML, Path("analyst.toml"))
    assert parse_profile(encode_profile(table).decode(), Path("analyst.json")) == table


def test_what_is_kept_is_read_back() -> None:
    table = parse_profile(TOML, Path("analyst.toml"))
    assert decode_profile(encode_profile(table)) == table
    assert table.digest() != msgspec.structs.replace(table, owner="bob").digest()


@pytest.mark.parametrize(
    ("name", "version", "allowed"),
    [
        ("sql_query", "1", True),
        ("llm_invoke", "2", True),
        ("llm_invoke", "3", False),
        ("chart.draw", "1", True),
        ("chart.publish", "1", False),
        ("http_call", "1", False),
        ("sql_query_all", "1", False),
    ],
)
def test_what_is_denied_or_not_allowed_is_refused(name: str, version: str, allowed: bool) -> None:
    assert parse_profile(TOML, Path("analyst.toml")).allows(name, version) is allowed


def test_denying_everything_leaves_nothing() -> None:
    table = ProfileTable("shut", skills=SkillsTable(("*",), ("*",)))
    assert not table.allows("json_transform")
    assert ProfileTable("open_", skills=SkillsTable(("*",))).allows("json_transform")


def test_the_default_profile_computes_and_does_nothing_else() -> None:
    assert all(DEFAULT_TABLE.allows(name) for name in HARMLESS)
    assert not any(
        DEFAULT_TABLE.allows(name) for name in ("http_call", "file_read", "file_write", "sql_query", "llm_invoke")
    )
    assert DEFAULT_TABLE.grants == ProfileTable("x").grants
    assert DEFAULT_TABLE.limits() == Budget()


def test_every_fault_is_named_with_its_line() -> None:
    text = 'name = "A"\nfoo = 1\n[skills]\nallow = ["A!"]\n[memory]\nblocks = 101\ntokens = "x"\n'
    with pytest.raises(ProfileInvalid) as caught:
        parse_profile(text, Path("p.toml"))
    told = str(caught.value)
    places = ("p.toml:1, name", "p.toml:2, foo", "skills.allow[0]", "p.toml:6, memory.blocks", "p.toml:7, memory")
    assert [place for place in places if place not in told] == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('name = "a"\n[memory]\nblocks = 90', "160 percent|170 percent"),
        ('name = "a"\n[planner]\nkind = "llm"', "no model"),
        ('name = "a"\n[budget]\nusd = "1"\nsoft_usd = "2"', "above the hard one"),
        ('name = "a"\n[grants]\nwritable = ["x.db"]', "no database of the profile"),
        ('name = "a"\ntainted = ["no such rule!"]', "no rule about outside values"),
        ('name = "a"\ntainted = ["chart.*"]', "no rule about outside values"),
        ('name = "a"\ntainted = ["notify if params.url =="]', "notify if params.url =="),
        ('name = "a"\ntainted = ["notify if steps.a.output"]', "steps is not known here"),
        ('name = "a"\n[budget]\nusd = 0.5', "must be a text"),
        ('name = "default" "', "is not TOML"),
        ("", 'lacks "name"'),
    ],
)
def test_what_contradicts_itself_is_refused(text: str, what: str) -> None:
    with pytest.raises(ProfileInvalid, match=what):
        parse_profile(text, Path("p.toml"))


@pytest.mark.parametrize(
    "text", ["[1]", "null", "3", '{"name": null}', "{", "[" * 100_000, '{"name": "a", "owner": "\\ud800"}']
)
def test_json_that_is_no_profile_is_refused(text: str) -> None:
    with pytest.raises(ProfileInvalid):
        parse_profile(text, Path("p.json"))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProfileInvalid, match="cannot be read"):
        read_profile(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(ProfileInvalid, match="cannot be read"):
        read_profile(tmp_path / "latin.toml")


def test_single_values_are_changed_and_the_whole_is_checked() -> None:
    table = with_changes(ProfileTable("a"), {"owner": "ann", "skills.allow": ("x", "y"), "memory.tokens": 10})
    assert (table.owner, table.skills.allow, table.memory.tokens) == ("ann", ("x", "y"), 10)
    with pytest.raises(ProfileInvalid, match="out of range"):
        with_changes(table, {"memory.tokens": -1})


def test_durations_are_counted_in_microseconds() -> None:
    assert [duration_us(text) for text in ("250ms", "1m", "1h30m", "2d")] == [
        250_000,
        60_000_000,
        5_400_000_000,
        172_800_000_000,
    ]


def test_the_shares_of_a_context_are_a_whole() -> None:
    assert sum(getattr(ProfileTable("a").memory, name) for name in SECTIONS) == 100
