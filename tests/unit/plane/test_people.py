from hypothesis import given
from hypothesis import strategies as st

from tickwork.plane.people import person_key


def test_spellings_of_a_name_are_one_person() -> None:
    spelt = ["Jos\u00e9 Li", "jose\u0301 li", " JOS\u00c9\tLI ", "Jose\u0301\u00a0L\u200bi", "\uff2aos\u00e9 Li"]
    assert {person_key(name) for name in spelt} == {"jos\u00e9 li"}
    assert person_key("jose li") != person_key("jos\u00e9 li")
    assert person_key(" \u200b\t") == ""


@given(st.text(max_size=20))
def test_what_is_the_same_of_a_name_is_its_own(name: str) -> None:
    key = person_key(name)
    assert person_key(key) == key
    assert person_key(f" {name}\u00ad") == key
