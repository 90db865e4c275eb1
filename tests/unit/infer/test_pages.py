"""What a model lies in goes onto large pages, and holds what it held."""

import ctypes
import mmap
import sys
from pathlib import Path

import pytest

from tickwork.infer import pages

MAPPED = """\
55f4-55f6 rw-p 00000000 00:00 0                          [heap]
Size:               2344 kB
Shared_Dirty:       {shared} kB
Private_Dirty:      2216 kB
7f00-7f08 {rights} 00000000 {file}
Shared_Dirty:          0 kB
VmFlags: rd wr mr mw me ac
"""


def test_memory_is_ours_where_no_other_process_and_no_file_has_it() -> None:
    def found(shared: int = 0, rights: str = "rw-p", file: str = "00:00 0") -> list[tuple[int, int]]:
        return list(pages.own_mappings(MAPPED.format(shared=shared, rights=rights, file=file)))

    heap, other = (0x55F4, 0x55F6), (0x7F00, 0x7F08)
    assert found() == [heap, other]
    assert found(shared=4) == [other]
    assert found(rights="rw-s") == found(rights="r--p") == [heap]
    assert found(file="08:01 99  /usr/lib/libc.so") == found(file="00:00 0  [stack]") == [heap]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked")
def test_what_is_in_memory_goes_onto_large_pages_and_stays_what_it_is() -> None:
    with mmap.mmap(-1, 4 * pages.LARGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for place in range(0, len(memory), 256):
            memory[place] = place >> 8 & 0xFF
        before = bytes(memory)
        done = pages.enlarge()
        assert bytes(memory) == before
        # A system without large pages, or with others, declines.
        assert done % pages.LARGE == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked")
def test_what_is_not_in_memory_is_not_brought_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with mmap.mmap(-1, 4 * pages.LARGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        maps = tmp_path / "smaps"
        maps.write_text(f"{start:x}-{start + len(memory):x} rw-p 00000000 00:00 0\nShared_Dirty: 0 kB\n")
        monkeypatch.setattr(pages, "MAPS", maps)
        assert pages.enlarge() == 0


@pytest.mark.parametrize("system", ["darwin", "win32", "linux"])
def test_where_nothing_is_known_of_memory_nothing_is_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str
) -> None:
    monkeypatch.setattr(pages, "SYSTEM", system)
    monkeypatch.setattr(pages, "MAPS", tmp_path / "absent")
    assert pages.enlarge() == 0
