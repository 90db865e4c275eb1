"""Kinds: numbers that journals hold, and so never change."""

import hashlib
from enum import IntEnum

import pytest

from tickwork import kinds

KINDS = [kind for kind in vars(kinds).values() if isinstance(kind, type) and issubclass(kind, IntEnum) and len(kind)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_number_has_two_names(kind: type[IntEnum]) -> None:
    assert len(kind.__members__) == len({int(member) for member in kind})


def test_numbers_keep_their_meaning() -> None:
    """A new kind changes this digest; a kind that got another number must not."""
    lines = [f"{kind.__name__}.{member.name}={int(member)}" for kind in KINDS for member in kind]
    assert (
        hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
        == "98419da3d872b189a5a116c7ff785c4fce1a186d0864e7904874113eaa18a576"
    )


def test_frames_of_agents_and_of_the_host_are_told_apart_by_number() -> None:
    asked = {"SEND", "PUBLISH", "PUBLISH_RETAINED", "JOIN", "LEAVE", "SPAWN", "EXIT", "TIMER", "TASK", "INFER"}
    asked |= {"SKILL", "WINDOW_WRITE", "LOG", "METRIC"}
    assert {kind.name for kind in kinds.FrameKind if kind < 32} == asked
