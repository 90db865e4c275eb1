"""Images in pages: what changed is found, and every image comes back."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.errors import InternalError
from tickwork.sandbox.image import Image
from tickwork.sandbox.pages import PAGE_BYTES, PageBook, PagedImage, join_pages

SPOTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, PAGE_BYTES - 1), st.integers(0, 255)), max_size=12)


def page(value: int) -> bytes:
    return bytes([value]) * PAGE_BYTES


@given(st.lists(st.tuples(st.integers(2, 6), SPOTS), min_size=1, max_size=5))
def test_every_image_comes_back_from_the_pages_ever_given(images: list[tuple[int, list[tuple[int, int, int]]]]) -> None:
    book, kept, memory = PageBook(), dict[bytes, bytes](), bytearray()
    for pages, spots in images:
        memory.extend(bytes(max(0, pages * PAGE_BYTES - len(memory))))
        for index, at, value in spots:
            if index * PAGE_BYTES < len(memory):
                memory[index * PAGE_BYTES + at] = value
        image = Image(bytes(memory), bytes(16))
        paged, fresh = book.split(7, image)
        kept |= {hashlib.sha256(body).digest(): body for body in fresh}
        assert join_pages(paged, kept.__getitem__) == image


def test_only_what_changed_is_given_again() -> None:
    book = PageBook()
    _, first = book.split(0, Image(page(1) + page(0) + page(2), b""))
    assert first == [page(1), page(2)], "a page of zeros has no bytes to store"
    same, nothing = book.split(0, Image(page(1) + page(0) + page(2), b""))
    assert nothing == []
    changed, fresh = book.split(0, Image(page(1) + page(3) + page(2), b""))
    assert fresh == [page(3)]
    assert (same.pages[0], same.pages[2]) == (changed.pages[0], changed.pages[2])


def test_a_memory_that_began_again_smaller_is_not_mixed_with_the_one_before() -> None:
    book = PageBook()
    book.split(0, Image(page(1) + page(2) + page(3), b""))
    paged, fresh = book.split(0, Image(page(1), b""))
    assert (len(paged.pages), fresh) == (1, [])
    assert book.split(0, Image(page(1) + page(2), b""))[1] == [page(2)]


def test_agents_do_not_share_what_is_known() -> None:
    book, image = PageBook(), Image(page(1), b"")
    assert book.split(0, image)[1] == book.split(1, image)[1] == [page(1)]
    book.forget([0])
    assert book.split(0, image)[1] == [page(1)]
    assert book.split(1, image)[1] == []


def test_an_earlier_image_is_not_changed_by_a_later_one() -> None:
    book = PageBook()
    before, _ = book.split(0, Image(page(1), b""))
    named = before.pages
    book.split(0, Image(page(2), b""))
    assert before.pages == named


@pytest.mark.parametrize("damaged", [PagedImage(b"", 8192, (b"\1",)), PagedImage(b"", 4096, (b"\1",))])
def test_pages_that_do_not_make_a_memory_are_refused(damaged: PagedImage) -> None:
    with pytest.raises(InternalError):
        join_pages(damaged, lambda _: b"short")
