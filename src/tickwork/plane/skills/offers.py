"""What a server offers, what this machine has accepted of it, and what has changed since.

The first listing of a server is accepted as it is, and kept. What it offers otherwise later, or has come to offer
since, is not used before somebody has looked at it: a description is read by models, and a schema decides what is sent.

Invariants:
    * A name stands for one offer. Where several would have the same, it stands for none of them.
    * What a server says about the effects of what it offers is not kept: nobody can hold it to that.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from ... import codec
from ...driver.shape import is_table
from ..errors import SkillInvalid, StoreFailed
from ..json_text import read_json, write_json

MOST_OFFERS: Final = 1000
MOST_OFFER_BYTES: Final = 256 << 10
MOST_NAME: Final = 64
MOST_CHANGES: Final = 8
"""Changes that a text names."""

FOLDER: Final = Path(".tickwork", "servers")


class Offer(msgspec.Struct, frozen=True):
    """A skill of a server.

    Attributes:
        tool: What the server calls it.
        given, made: JSON Schemas; ``made`` is None where the server does not say what comes out.
    """

    tool: str
    description: str
    given: dict[str, Any]
    made: dict[str, Any] | None = None

    @property
    def digest(self) -> bytes:
        """SHA-256 over all of it. Shape: 32 bytes."""
        return codec.digest(write_json(msgspec.to_builtins(self)))

    @property
    def version(self) -> str:
        """What plans may pin: the same for as long as the offer is the same. Shape: 12 hexadecimal digits."""
        return self.digest.hex()[:12]


def name_of(tool: str) -> str:
    """Return the name of a skill for what a server calls it: ``getSum`` and ``get sum`` become ``getsum``, ``get_sum``.

    Shape: of lower-case letters, digits, ``_`` and ``-``; empty where nothing is left.
    """
    name = re.sub(r"[^a-z0-9_-]", "_", tool.lower())
    return name if len(name) <= MOST_NAME and name.strip("_-") else ""


def by_name(offers: Iterable[Offer]) -> dict[str, Offer]:
    """Return offers by the names that plans use. Order: by name."""
    found, twice = dict[str, Offer](), set[str]()
    for offer in offers:
        name = name_of(offer.tool)
        if not name or name in found:
            twice.add(name)
        found[name] = offer
    return {name: found[name] for name in sorted(found) if name not in twice}


def changes(before: Offer, after: Offer) -> list[str]:
    """Return what has changed of an offer, as people read it. Order: as the fields, then by key."""
    sides = (msgspec.to_builtins(before), msgspec.to_builtins(after))
    return list(_changes("", *sides))


def told(found: Sequence[str]) -> str:
    """Return changes as one text."""
    cut = f"; and {len(found) - MOST_CHANGES} more" if len(found) > MOST_CHANGES else ""
    return "; ".join(found[:MOST_CHANGES]) + cut


def _changes(place: str, before: Any, after: Any) -> Iterator[str]:
    if before == after and type(before) is type(after):
        return
    if is_table(before) and is_table(after):
        for key in sorted({*before, *after}):
            inner = f"{place}.{key}" if place else str(key)
            if key not in before:
                yield f"{inner} is new"
            elif key not in after:
                yield f"{inner} is gone"
            else:
                yield from _changes(inner, before[key], after[key])
        return
    yield f"{place} was {_short(before)} and is {_short(after)}"


def _short(value: Any) -> str:
    text = write_json(value).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."


class Accepted:
    """The offers of a server that this machine has accepted, in a file.

    Args:
        project: Where ``.tickwork`` lies.
    """

    def __init__(self, project: Path, server: str) -> None:
        self.path = project / FOLDER / f"{server}.json"

    def read(self) -> dict[str, Offer] | None:
        """Return the accepted offers by name; None where none were accepted yet.

        Raises:
            SkillInvalid: TW7004, the file does not hold what was written to it.
        """
        try:
            document: Mapping[str, Any] = read_json(self.path.read_bytes())
            return msgspec.convert(document["offers"], dict[str, Offer])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed("read", error) from error
        except (ValueError, KeyError, TypeError, msgspec.ValidationError) as error:
            fix = "restore the file, or delete it and accept anew what the server offers"
            raise SkillInvalid("what a server offered is not as it was kept", where=str(self.path), fix=fix) from error

    def write(self, offers: Mapping[str, Offer]) -> None:
        """Accept offers, in place of all earlier ones.

        Raises:
            StoreFailed: TW7018.
        """
        raw = write_json({"offers": msgspec.to_builtins(offers)})
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(raw + b"\n")
            os.replace(temporary, self.path)
        except OSError as error:
            raise self._failed("written", error) from error

    def _failed(self, done: str, error: OSError) -> StoreFailed:
        return StoreFailed(f"what a server offers cannot be {done}", where=str(self.path), why=str(error))
