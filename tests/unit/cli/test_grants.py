"""Grants as they are written on a command line."""

import msgspec
import pytest

from tickwork.cli.fork import parse_setting
from tickwork.cli.grants import parse_grants, split_grants
from tickwork.driver.resolve import new_header
from tickwork.errors import UsageFault
from tickwork.records import AgentSpec, Input, InputKind, WindowSpec

AGENT = AgentSpec("a", "native", "a:A", b"", publish=("news",), windows=("board",), clock=True)
HEADER = msgspec.structs.replace(new_header("w", 9, (AGENT,)), windows=(WindowSpec("board", "frame", 8, "a"),))


def made(kind: InputKind, capability: str) -> Input:
    return Input(kind, "operator", "a", body=capability.encode(), size=len(capability))


def test_grants_and_revocations_become_inputs() -> None:
    assert parse_grants(HEADER, ["a=publish:news"], ["a=clock", "a=windows:board"]) == (
        made(InputKind.GRANT, "publish:news"),
        made(InputKind.REVOKE, "clock"),
        made(InputKind.REVOKE, "windows:board"),
    )


@pytest.mark.parametrize(
    ("word", "what", "fix"),
    [
        ("a", "is not understood", "write AGENT=WHAT"),
        ("a=", "is not understood", "write AGENT=WHAT"),
        ("b=clock", "the run has no agent 'b'", ""),
        ("a=publish:new", "does not declare 'publish:new'", 'did you mean "publish:news"?'),
    ],
)
def test_a_grant_that_means_nothing_is_refused(word: str, what: str, fix: str) -> None:
    for words in ((word,), ()), ((), (word,)):
        with pytest.raises(UsageFault) as caught:
            parse_grants(HEADER, *words)
        assert what in caught.value.what
        assert caught.value.fix.startswith(fix)


def test_grants_of_agents_that_are_swapped_belong_to_the_swap() -> None:
    assert split_grants(["a=clock", "b=clock", "a=x"], {"a"}) == (["a=clock", "a=x"], ["b=clock"])


def test_windows_are_opened_and_closed_by_name() -> None:
    assert parse_setting(HEADER, "window.board=close") == Input(InputKind.CLOSE_WINDOW, "operator", "board")
    assert parse_setting(HEADER, "window.board=open") == Input(InputKind.OPEN_WINDOW, "operator", "board")
    for word in ("window.board=ajar", "window.other=open"):
        with pytest.raises(UsageFault):
            parse_setting(HEADER, word)
