"""A seal finds every changed byte of the pages it covers and of itself."""

import random

import pytest

from tickwork.journal.seal import (
    PAGE,
    ReadAt,
    build_seal,
    find_damage,
    has_footer,
    page_digests,
    seal_pages,
    sealed_pages,
)


def over(content: bytes) -> ReadAt:
    return lambda offset, count: content[offset : offset + count]


def sealed(pages: int) -> bytes:
    body = bytearray(random.Random(pages).randbytes(pages * PAGE))
    body[28:32] = pages.to_bytes(4, "big")
    return bytes(body) + build_seal(page_digests(over(bytes(body)), pages))


@pytest.mark.parametrize("pages", [1, 2, 251, 252, 253, 507, 508, 600])
def test_a_sealed_file_is_whole_and_its_length_says_how_many_pages_it_seals(pages: int) -> None:
    content = sealed(pages)
    assert len(content) == (pages + seal_pages(pages)) * PAGE
    assert sealed_pages(len(content) // PAGE) == pages
    assert has_footer(over(content), len(content))
    assert find_damage(over(content), len(content)) is None


def test_no_two_sealed_files_of_one_length_seal_different_numbers_of_pages() -> None:
    lengths = [pages + seal_pages(pages) for pages in range(1, 3000)]
    assert len(set(lengths)) == len(lengths)
    assert [sealed_pages(length) for length in lengths] == list(range(1, 3000))
    assert all(sealed_pages(length) is None for length in set(range(3000)) - set(lengths))


@pytest.mark.parametrize("offset", [0, 1, 4095, 4096, 8191, 2 * PAGE, 2 * PAGE + 17, 3 * PAGE - 65, 3 * PAGE - 1])
def test_a_changed_byte_is_placed_to_its_page(offset: int) -> None:
    content = bytearray(sealed(2))
    content[offset] ^= 0x10
    damage = find_damage(over(bytes(content)), len(content))
    assert damage is not None
    assert damage.offset is not None
    assert damage.offset // PAGE == offset // PAGE


def test_a_changed_digest_far_within_a_long_seal_is_placed_exactly() -> None:
    content = bytearray(sealed(600))
    offset = 600 * PAGE + 500 * 16 + 3
    content[offset] ^= 1
    damage = find_damage(over(bytes(content)), len(content))
    assert damage is not None
    assert damage.offset == offset


def test_many_changed_pages_are_counted_and_the_first_is_named() -> None:
    content = bytearray(sealed(9))
    for page in (3, 4, 7):
        content[page * PAGE + 9] ^= 1
    damage = find_damage(over(bytes(content)), len(content))
    assert damage is not None
    assert damage.offset == 3 * PAGE
    assert "3 of 9 pages" in damage.what


def test_a_file_that_is_cut_anywhere_is_damaged() -> None:
    content = sealed(5)
    for length in range(0, len(content), 256):
        damage = find_damage(over(content[:length]), length)
        assert damage is not None
        assert damage.offset is not None
        assert damage.offset <= length


def test_a_file_that_has_grown_is_damaged() -> None:
    content = sealed(5)
    for more in (b"x", bytes(PAGE), content):
        assert find_damage(over(content + more), len(content + more)) is not None
