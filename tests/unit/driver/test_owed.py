"""What a fork owes its own journal."""

import msgspec
import pytest

from tickwork import codec
from tickwork.driver.owed import Owed, keep_owed, read_owed
from tickwork.errors import JournalDamaged, JournalIncomplete
from tickwork.journal.memory import MemoryJournal
from tickwork.records import Effect, Environment, Input, InputKind

NOBODY = Environment("r_1", 0, "", "", "", "")
EDIT = Input(InputKind.RESEED, "operator", number=7)


def result(number: int) -> tuple[int, Input]:
    return number + 1, Input(InputKind.RESULT, "effect", number=number)


def effect(number: int) -> Effect:
    return Effect(number, 0, 0, "do", 0, b"", 0, b"")


def read(body: bytes) -> Owed:
    environment = msgspec.structs.replace(NOBODY, owed=codec.digest(body))
    return read_owed(environment, MemoryJournal(b"", b"", [body]))


def test_what_is_kept_is_read() -> None:
    owed = read(keep_owed(0, [EDIT], [result(3), result(5)]))
    assert owed == Owed(0, (EDIT,), (result(3), result(5)))
    assert (owed.pending(0), owed.pending(1)) == ((EDIT,), ())
    assert owed.answers([effect(5), effect(9)]) == [result(5)]


def test_a_run_owes_nothing() -> None:
    owed = read_owed(NOBODY, MemoryJournal(b"", b""))
    assert (owed.pending(0), owed.answers([effect(1)])) == ((), [])


def test_a_body_that_is_none_is_damage_and_a_missing_prefix_no_fork() -> None:
    with pytest.raises(JournalDamaged, match="cannot be read"):
        read(b"nonsense")
    with pytest.raises(JournalIncomplete, match="before it was one"):
        read(keep_owed(4, [], []))
