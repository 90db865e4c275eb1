"""plane/fixes.py: what to do about what runs fail with."""

import pytest

from tickwork.plane import errors
from tickwork.plane.fixes import FIXES, code_in, fix_of


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("step load: TW7025 out/x may not be read", "TW7025"),
        ("step each[3]: TW7008 no: TW1001 is told", "TW7008"),
        ("TW7016 no plan is for this goal", "TW7016"),
        ("TW4001: the journal differs", "TW4001"),
        ("approval publish", ""),
        ("", ""),
    ],
)
def test_the_code_of_a_reason_is_found(reason: str, code: str) -> None:
    assert code_in(reason) == code


def test_advice_names_the_run_and_its_profile() -> None:
    assert fix_of("step a: TW7024 no", "r_1", "ann") == "grant the host: tickwork profile set ann --host HOST"
    assert fix_of("step a: TW7003 no", "r_1").endswith("tickwork rerun r_1")
    assert fix_of("approval publish") == ""


def test_there_is_advice_for_what_a_step_fails_with() -> None:
    known = {kind.code for kind in errors.PlaneError.__subclasses__()}
    refused_before = {"TW7011", "TW7012", "TW7019", "TW7021", "TW7028", "TW7031", "TW7032"}
    assert known - set(FIXES) == refused_before
