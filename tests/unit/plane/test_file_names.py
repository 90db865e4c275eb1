import pytest

from tickwork.plane.file_names import is_of_a_file


@pytest.mark.parametrize(
    "name", ["nul", "CON", "con.txt", "Com1.tar.gz", "lpt\u00b2", "aux .md", "a.", "a ", ".", ".."]
)
def test_what_some_system_takes_for_something_else_is_no_name(name: str) -> None:
    assert not is_of_a_file(name)


@pytest.mark.parametrize("name", ["a.md", "console", "null.csv", ".hidden", "com10", "a b", "nul_"])
def test_other_names_are(name: str) -> None:
    assert is_of_a_file(name)
