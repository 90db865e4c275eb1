"""Debugging information of a module: which line of which file an instruction was compiled from.

Addresses count from the first byte of the code section's content, as compilers write them for WebAssembly.

Source: DWARF 5; "DWARF for WebAssembly", WebAssembly tool conventions.
"""

import io
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from ..errors import ToolchainMissing
from ..sandbox.wasm import Module

_SECTIONS: Final = (
    "debug_info", "debug_aranges", "debug_abbrev", "debug_frame", "eh_frame", "debug_str", "debug_loc", "debug_ranges",
    "debug_line", "debug_pubtypes", "debug_pubnames", "debug_addr", "debug_str_offsets", "debug_line_str",
    "debug_loclists", "debug_rnglists", "debug_sup", "gnu_debugaltlink", "debug_types",
)  # fmt: skip
"""Order: that of the reader's constructor."""

_POINTER_BYTES: Final = 4
_MOST_REFERENCES: Final = 8
"""From an inlined function to where it is declared takes two; damaged information could go round."""


class Place(NamedTuple):
    """A place in a source. Units: line and column count from 1; a column of 0 is not known."""

    function: str
    file: str
    line: int
    column: int

    def __str__(self) -> str:
        column = f":{self.column}" if self.column else ""
        return f"{self.function or '?'} ({self.file}:{self.line}{column})"


class _Row(NamedTuple):
    address: int
    file: str
    line: int
    column: int
    end: bool


class _Extent(NamedTuple):
    """Where the code of a function, or of one inlined into another, lies."""

    low: int
    high: int
    depth: int
    name: str
    call: tuple[str, int, int]


class Lines:
    """The lines of a module with debugging information.

    Raises:
        ToolchainMissing: TW5001, the package that reads DWARF is not installed.
        ValueError: The information is damaged.
    """

    def __init__(self, module: Module) -> None:
        try:
            from elftools.common.exceptions import DWARFError, ELFError
            from elftools.construct import ConstructError
        except ImportError as error:
            raise ToolchainMissing(
                "source lines cannot be read: the package pyelftools is not installed",
                why="it reads the debugging information that the build keeps beside a module",
                fix="pip install 'tickwork[debug]'",
            ) from error
        self._rows: list[_Row] = []
        self._extents: list[_Extent] = []
        damaged = (DWARFError, ELFError, ConstructError, LookupError, AssertionError, OverflowError, RuntimeError)
        try:
            self._read(module)
        except damaged as error:
            raise ValueError(f"debugging information cannot be read: {error}") from error
        self._rows.sort(key=lambda row: (row.address, not row.end))
        self._addresses = [row.address for row in self._rows]

    def _read(self, module: Module) -> None:
        from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo

        def section(name: str) -> Any:
            content = module.custom(f".{name}")
            return None if content is None else DebugSectionDescriptor(io.BytesIO(content), name, 0, len(content), 0)

        config = DwarfConfig(little_endian=True, machine_arch="wasm", default_address_size=_POINTER_BYTES)
        information = DWARFInfo(config, *map(section, _SECTIONS))
        if not information.has_debug_info:
            return
        for unit in information.iter_CUs():
            program = information.line_program_for_CU(unit)
            if program is None:
                continue
            files = _file_names(program)
            self._rows += _rows(program, files)
            self._extents += _extents(information, unit, unit.get_top_DIE(), files, 0)

    def find(self, address: int) -> list[Place]:
        """Return the places an instruction comes from: where it stands, then where that was inlined into. Order: inner
        first; empty where nothing is known.

        Units: bytes from the start of the code section's content.
        """
        index = bisect_right(self._addresses, address) - 1
        if index < 0 or self._rows[index].end:
            return []
        row = self._rows[index]
        around = sorted((e for e in self._extents if e.low <= address < e.high), key=lambda e: -e.depth)
        at, places = (row.file, row.line, row.column), list[Place]()
        for extent in around:
            places.append(Place(extent.name, *at))
            at = extent.call
        return places or [Place("", *at)]


def _file_names(program: Any) -> list[str]:
    """Return the files of a line program by their number there; before version 5 they and folders count from 1."""
    header = program.header
    first = 0 if header["version"] >= 5 else 1
    folders = [_text(entry) for entry in header["include_directory"] or ()]
    names = [_joined(folders, entry["dir_index"] - first, _text(entry["name"])) for entry in header["file_entry"] or ()]
    return ["?"] * first + names


def _joined(folders: Sequence[str], index: int, name: str) -> str:
    folder = folders[index] if 0 <= index < len(folders) else ""
    return name if folder in ("", ".") or name.startswith("/") else f"{folder}/{name}"


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _rows(program: Any, files: Sequence[str]) -> Iterator[_Row]:
    for entry in program.get_entries():
        state = entry.state
        if state is not None:
            yield _Row(state.address, _file(files, state.file), state.line, state.column, state.end_sequence)


def _file(files: Sequence[str], number: int) -> str:
    return files[number] if number < len(files) else "?"


def _extents(information: Any, unit: Any, parent: Any, files: Sequence[str], depth: int) -> Iterator[_Extent]:
    """Yield where functions lie, and those inlined into them, deeper ones with a greater depth."""
    for entry in parent.iter_children():
        deeper = depth
        if entry.tag in ("DW_TAG_subprogram", "DW_TAG_inlined_subroutine"):
            deeper += 1
            name, call = _name(entry), _call(entry, files)
            for low, high in _spans(information, unit, entry):
                yield _Extent(low, high, depth, name, call)
        if entry.has_children:
            yield from _extents(information, unit, entry, files, deeper)


def _name(entry: Any) -> str:
    """Return a function's name; of one that was inlined or declared elsewhere, the name there."""
    for _ in range(_MOST_REFERENCES):
        found = entry.attributes.get("DW_AT_name")
        if found is not None:
            return _text(found.value)
        reference = next(
            (key for key in ("DW_AT_abstract_origin", "DW_AT_specification") if key in entry.attributes), ""
        )
        if not reference:
            break
        entry = entry.get_DIE_from_attribute(reference)
    return ""


def _call(entry: Any, files: Sequence[str]) -> tuple[str, int, int]:
    """Return where an inlined function was called: file, line, column."""
    file, line, column = (
        entry.attributes[key].value if key in entry.attributes else 0
        for key in ("DW_AT_call_file", "DW_AT_call_line", "DW_AT_call_column")
    )
    return (_file(files, file), line, column)


def _spans(information: Any, unit: Any, entry: Any) -> Iterator[tuple[int, int]]:
    """Yield the stretches of code of a function."""
    attributes = entry.attributes
    if "DW_AT_low_pc" in attributes and "DW_AT_high_pc" in attributes:
        low, high = attributes["DW_AT_low_pc"].value, attributes["DW_AT_high_pc"]
        yield (low, high.value if high.form == "DW_FORM_addr" else low + high.value)
    elif "DW_AT_ranges" in attributes:
        lists = information.range_lists()
        start = unit.get_top_DIE().attributes.get("DW_AT_low_pc")
        begin = start.value if start is not None else 0
        for item in lists.get_range_list_at_offset(attributes["DW_AT_ranges"].value, unit) if lists else ():
            if hasattr(item, "base_address"):
                begin = item.base_address
            elif getattr(item, "is_absolute", False):
                yield (item.begin_offset, item.end_offset)
            else:
                yield (begin + item.begin_offset, begin + item.end_offset)
