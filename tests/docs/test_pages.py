"""What README and docs show is what happens."""

import shutil
from pathlib import Path

import pytest

from tests.docs.blocks import BlockError, blocks, execute
from tests.support import ROOT, need

PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if any(block.runs for block in blocks(path.read_text(encoding="utf-8")))
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.thorough) if "guides/" in page else page for page in PAGES]
)
def test_every_block_of_a_page_does_what_the_page_says(page: str, tmp_path: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    if "tickwork agent build" in text or "agent new c" in text:
        need("zig")
    if "agent new rust" in text:
        need("rust")
    if "agent new assemblyscript" in text:
        need("asc")
    for folder in ("examples", "sdk"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    assert execute(text, tmp_path) > 0


@pytest.mark.slow
def test_a_page_that_is_wrong_is_found_out(tmp_path: Path) -> None:
    right = "```python\nprint(6 * 7)\n```\n\n```output\n42\n```\n"
    assert execute(right, tmp_path) == 1
    with pytest.raises(BlockError, match="line 1"):
        execute(right.replace("6 * 7", "6 * 8"), tmp_path)
    with pytest.raises(BlockError, match="exited 0, not 3"):
        execute("```console\n$ python -c pass  # exits 3\n```\n", tmp_path)


def test_every_language_a_page_uses_is_known() -> None:
    known = {"c", "cpp", "console", "json", "output", "python", "rust", "text", "toml", "typescript"}
    used = {block.language for page in PAGES for block in blocks((ROOT / page).read_text(encoding="utf-8"))}
    assert used <= known
