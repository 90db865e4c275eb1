"""Grants as they are written on a command line: ``AGENT=publish:TOPIC``, and the inputs they become."""

from collections.abc import Collection, Sequence
from typing import Annotated

from cyclopts import Parameter

from ..driver.faults import choose
from ..errors import UsageFault
from ..kernel.grants import declared
from ..records import Header, Input, InputKind

ForkGrants = Annotated[
    list[str] | None,
    Parameter(
        name="--grant",
        negative="",
        help="AGENT=WHAT: allow what the agent declares, such as publish:TOPIC, skills:SKILL, windows:WINDOW or clock; "
        "of an agent that is swapped, what the new version may do beyond the old one. May be repeated.",
    ),
]
Revokes = Annotated[
    list[str] | None,
    Parameter(name="--revoke", negative="", help="AGENT=WHAT: take a grant back. May be repeated."),
]

SOURCE = "operator"


def split_grants(words: Sequence[str], swapped: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the words that belong to swaps, and the others."""
    of_swaps = [word for word in words if word.partition("=")[0] in swapped]
    return of_swaps, [word for word in words if word not in of_swaps]


def parse_grants(header: Header, grants: Sequence[str], revokes: Sequence[str]) -> tuple[Input, ...]:
    """Return grants and revocations as inputs, each checked against the run's header. Order: grants first.

    Raises:
        UsageFault: TW1001, a word that is not understood, an unknown agent, or what the agent does not declare.
    """
    return (
        *(_input(header, InputKind.GRANT, "--grant", word) for word in grants),
        *(_input(header, InputKind.REVOKE, "--revoke", word) for word in revokes),
    )


def _input(header: Header, kind: InputKind, option: str, word: str) -> Input:
    agent, equals, capability = word.partition("=")
    specs = {spec.name: spec for spec in header.agents}
    if not equals or not capability:
        raise UsageFault(f"{option} {word} is not understood", fix="write AGENT=WHAT, such as a=publish:news")
    if agent not in specs:
        raise UsageFault(
            f"{option} {word}: the run has no agent {agent!r}", fix=choose(agent, specs, "it has no agent at all")
        )
    known = list(declared(specs[agent]))
    if capability not in known:
        raise UsageFault(
            f"{option} {word}: agent {agent!r} does not declare {capability!r}",
            why="an agent can be granted at most what it declares",
            fix=choose(capability, known, "it declares nothing"),
        )
    body = capability.encode()
    return Input(kind, SOURCE, agent, body=body, size=len(body))
