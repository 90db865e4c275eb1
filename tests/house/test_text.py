"""Nothing in the tree belongs to one machine, to a plan or to the person who wrote it."""

import re

from tests.house.tree import text_files

# Each word is written so that this file does not hold it.
MACHINE = re.compile(r"/wor[k]/|/roo[t]/|/hom[e]/[a-z]|pythonhos[t]ed|registry\.np[m]js|py[p]i\.org|deb\.debia[n]")
UNFINISHED = re.compile(r"\b(TO[D]O|FIXM[E]|X[X]X|HAC[K]|NotImplemente[d]Error)\b")
UNABLE = re.compile(
    r"\bassert Tru[e]\b|import(orski)[p]|\bunittest\.moc[k]\b|\btime\.slee[p]\b"
    # A mark that skips is for what a platform cannot do; what a machine may lack goes through the gate.
    r"|@pytest\.mark\.(ski[p](?!if\((os\.name|sys\.platform))|xfai[l])"
)
SKIP = re.compile(r"\bpytest\.(ski[p]|xfai[l])\(")
PLAN = re.compile(r"\b[Pp]hase [0-9]|[Ii]ssu[e] #?[0-9]|\bmileston[e]\b|\b[Ss]print [0-9]")


def _found(pattern: re.Pattern[str], *, under: tuple[str, ...] = (), except_for: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:80]}"
        for path, text in text_files()
        if (not under or path.parts[0] in under) and path.as_posix() not in except_for and path.suffix != ".csv"
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_this_machine_or_a_registry() -> None:
    assert _found(MACHINE) == []


def test_nothing_is_left_to_do_in_the_tree() -> None:
    assert _found(UNFINISHED) == []


def test_nothing_in_the_tree_tells_of_plans() -> None:
    assert _found(PLAN, except_for=("CHANGELOG.md",)) == []


def test_no_test_is_unable_to_fail() -> None:
    assert _found(UNABLE, under=("tests", "bench")) == []


def test_a_skip_goes_through_the_gate() -> None:
    assert _found(SKIP, under=("tests",), except_for=("tests/support.py",)) == []


def test_text_is_plain() -> None:
    guilty = [
        str(path)
        for path, text in text_files()
        if path.name != "LICENSE"
        and text
        and (not text.endswith("\n") or "\r" in text or "\t" in _indent(path.name, text))
    ]
    assert guilty == []


def _indent(name: str, text: str) -> str:
    """Return the whitespace that begins the lines, for files in which tabs have no meaning."""
    if name == "Makefile":
        return ""
    return "".join(line[: len(line) - len(line.lstrip())] for line in text.splitlines())
