"""What a page of the web says, without what is around it. Reading it reaches nothing.

This runs in a process of its own, whose parent ends it where a page takes too long.
"""

import logging
from importlib import import_module
from typing import Any, Final

import msgspec

from ...sandbox.child import limit, take_pipes
from ...sandbox.wire import read_frame, write_frame
from .page_reader import FAULT, PAGE, Page, Request

# The package says no types that a strict checker takes.
_trafilatura: Final[Any] = import_module("trafilatura")
_html: Final[Any] = import_module("lxml.html")

MOST_MEMORY: Final = 2 << 30
MOST_LINKS: Final = 500
MOST_ELEMENTS: Final = 100_000
"""Elements that are looked through: what a page says is found by comparing its parts."""

MOST_DEPTH: Final = 200
"""Elements within each other; what reads them calls itself for each."""

_SILENT: Final = logging.NullHandler()


def main() -> None:
    """Read the pages that come, until none come any more."""
    source, sink = take_pipes()
    limit("AS", MOST_MEMORY)
    while (frame := read_frame(source)) is not None:
        request = msgspec.msgpack.decode(frame[1], type=Request)
        try:
            page = read_page(request.text, request.url, markdown=request.markdown, comments=request.comments)
            write_frame(sink, PAGE, msgspec.msgpack.encode(page))
        except (ValueError, MemoryError, RecursionError) as error:
            write_frame(sink, FAULT, (str(error) or type(error).__name__).encode(errors="replace"))
        sink.flush()


def read_page(text: str, url: str, *, markdown: bool, comments: bool) -> Page:
    """Return what a page says.

    Args:
        markdown: Whether headings, lists and links are marked in the text.

    Raises:
        ValueError: It is no page, or one that nobody reads.
    """
    # The packages tell a log of each page that says nothing, and the log, where nobody has asked for one, tells the
    # terminal.
    for name in ("htmldate", "trafilatura"):
        logging.getLogger(name).addHandler(_SILENT)
    tree = _tree(text)
    depth = _depth(tree)
    if depth > MOST_DEPTH:
        raise ValueError(f"its elements lie {depth:,} deep")
    links = tuple(_links(tree, url))
    found: Any = _trafilatura.bare_extraction(
        text,
        url=url,
        include_comments=comments,
        include_tables=True,
        with_metadata=True,
        date_extraction_params={"extensive_search": False, "original_date": True},
    )
    if found is None:
        return Page(_title(tree), "", "", "", "", _plain(tree), links)
    said = str(found.text or "")
    if markdown and said:
        said = _trafilatura.extract(
            text,
            url=url,
            include_comments=comments,
            include_tables=True,
            include_links=True,
            include_formatting=True,
            output_format="markdown",
        )
    return Page(
        title=str(found.title or ""),
        author=str(found.author or ""),
        date=str(found.date or ""),
        site=str(found.sitename or ""),
        language=str(found.language or ""),
        text=said or _plain(tree),
        links=links,
    )


def _tree(text: str) -> Any:
    if not text.strip():
        raise ValueError("it is empty")
    try:
        # A text that says how it is encoded is taken as bytes alone.
        tree = _html.document_fromstring(text.encode(errors="replace"), parser=_html.HTMLParser(encoding="utf-8"))
    except (ValueError, _html.etree.LxmlError) as error:
        raise ValueError("it is no page") from error
    count = sum(1 for _ in zip(range(MOST_ELEMENTS + 1), tree.iter(), strict=False))
    if count > MOST_ELEMENTS:
        raise ValueError(f"it has more than {MOST_ELEMENTS:,} elements")
    return tree


def _depth(tree: Any) -> int:
    deepest, level = 0, [tree]
    while level:
        deepest += 1
        level = [child for element in level for child in element]
    return deepest


def _links(tree: Any, url: str) -> list[tuple[str, str]]:
    tree.make_links_absolute(url, resolve_base_href=False, handle_failures="discard")
    found = dict[str, str]()
    for element in tree.iter("a"):
        address = (element.get("href") or "").partition("#")[0]
        if address.startswith(("http://", "https://")) and len(address) <= 2048 and address not in found:
            found[address] = " ".join(element.text_content().split())[:200]
        if len(found) == MOST_LINKS:
            break
    return list(found.items())


def _title(tree: Any) -> str:
    return " ".join((tree.findtext(".//title") or "").split())


def _plain(tree: Any) -> str:
    """Return all text of a page, for one in which nothing stands out."""
    for element in list(tree.iter("script", "style", "noscript", "template")):
        element.drop_tree()
    body = tree.find("body")
    lines = (" ".join(line.split()) for line in (tree if body is None else body).text_content().splitlines())
    return "\n".join(line for line in lines if line)
