"""Traps of real agents, from the engine's offsets back to the author's lines."""

import re
from pathlib import Path

import pytest

from tests.support import need
from tests.unit.authoring.projects import ENVIRONMENT, begun, small
from tests.unit.sandbox import wat
from tickwork.authoring.build import Built, build
from tickwork.authoring.traces import code_digest, explain, keep_symbols, trap_places
from tickwork.records import Operation, Status
from tickwork.sandbox import wasm
from tickwork.sandbox.pool import open_pool

SOURCE = """#include "tickwork.h"
static volatile int32_t divisor;
static int32_t init(const tw_frame *config) { (void)config; return TW_OK; }
static int32_t receive(const tw_frame *message) { (void)message; return TW_OK; }
__attribute__((noinline)) static int32_t split(int32_t whole)
{
    return whole / divisor; /* line 7 */
}
static int32_t step(const tw_context *context)
{
    return split((int32_t)context->tick + 1); /* line 11 */
}
static int32_t shutdown(void) { return TW_OK; }
TW_AGENT(init, receive, step, shutdown)
"""


def trapped(module: bytes, operation: Operation = Operation.STEP) -> str:
    """Return the text of the trap in an agent's first turn."""
    pool = open_pool(0)
    try:
        pool.place(wat.program(0, module))
        (outcome,) = pool.compute([wat.turn(0, operation=operation)])
    finally:
        pool.close()
    assert outcome.status == Status.TRAP
    return outcome.detail


@pytest.fixture(scope="module", params=["c", "cpp"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    need("zig")
    return build(small(tmp_path_factory.mktemp("split"), request.param, SOURCE), ENVIRONMENT)


@pytest.mark.slow
def test_a_trap_names_functions_files_and_lines(built: Built, tmp_path: Path) -> None:
    module = built.compiled.module
    keep_symbols(tmp_path, module, built.compiled.debug, None)
    text = explain(trapped(module), module, [tmp_path])
    assert text.startswith("wasm trap: integer divide by zero\n")
    places = re.findall(r"at (.*) \(agent\.c(?:pp)?:(\d+)", text)
    assert [int(line) for _, line in places[:2]] == [7, 11]
    assert ["split" in places[0][0], "step" in places[1][0]] == [True, True]


@pytest.mark.slow
def test_the_debug_companion_in_the_project_s_folder_is_found(built: Built, tmp_path: Path) -> None:
    assert built.compiled.debug is not None
    (tmp_path / "other.debug.wasm").write_bytes(b"no module at all")
    (tmp_path / "small.debug.wasm").write_bytes(built.compiled.debug)
    module = built.compiled.module
    assert ":7:" in explain(trapped(module), module, [tmp_path / "absent", tmp_path])


@pytest.mark.slow
@pytest.mark.parametrize("kept", [b"", b"0\nno map", b"x\n{}", b'0\n{"x":' + b"[" * 100_000])
def test_a_damaged_source_map_is_no_source_map(built: Built, tmp_path: Path, kept: bytes) -> None:
    module = built.compiled.module
    (tmp_path / f"{code_digest(wasm.parse(module))}.wasm.map").write_bytes(kept)
    assert "function" in explain(trapped(module), module, [tmp_path])


@pytest.mark.slow
def test_without_debugging_information_functions_and_bytes_are_named(built: Built, tmp_path: Path) -> None:
    module = built.compiled.module
    detail = trapped(module)
    text = explain(detail, module, [tmp_path])
    assert re.match(r"wasm trap: integer divide by zero\n  at function \d+, byte 0x[0-9a-f]+\n", text)
    parsed = wasm.parse(module)
    for place in trap_places(detail, parsed):
        start, end = parsed.bodies[place.function - len(parsed.imports)]
        assert start <= place.file_offset < end, "the place lies in the author's function"


@pytest.mark.slow
def test_debugging_information_of_other_code_is_not_used(built: Built, tmp_path: Path) -> None:
    other = build(small(tmp_path / "other", "c", SOURCE.replace("+ 1", "+ 2")), ENVIRONMENT)
    keep_symbols(tmp_path, other.compiled.module, other.compiled.debug, None)
    module = built.compiled.module
    if module != other.compiled.module:
        assert "function" in explain(trapped(module), module, [tmp_path]).splitlines()[1]


@pytest.mark.parametrize("detail", ["", "abort: no (a.ts:1:2)", "calls nest deeper than 7"])
def test_a_text_that_names_no_place_stays_as_it_is(detail: str) -> None:
    assert explain(detail, wat.agent(step="(unreachable)"), []) == detail


def test_a_module_that_is_none_changes_nothing() -> None:
    assert explain("anything", b"no module", []) == "anything"


def test_only_the_author_s_functions_are_named() -> None:
    module = wat.agent(step="(unreachable)")
    places = list(trap_places(trapped(module), wasm.parse(module)))
    assert len(places) == 2, "step and tw_turn; wrappers that count depth are left out"


def planted(folder: Path, language: str, file: str, before: str, line: str) -> tuple[Built, int]:
    """Return a template's build with a line put in before another, and the number of that line."""
    project = begun(folder, language)
    source = folder / file
    text = source.read_text(encoding="utf-8")
    assert text.count(before) == 1
    source.write_text(text.replace(before, f"{line}\n{before}"), encoding="utf-8")
    return build(project, ENVIRONMENT), text[: text.index(before)].count("\n") + 1


@pytest.mark.slow
def test_a_trap_in_rust_names_its_line(tmp_path: Path) -> None:
    need("rust")
    file, before = "src/lib.rs", "        if every == 0 {"
    built, line = planted(tmp_path / "begun", "rust", file, before, "        core::arch::wasm32::unreachable();")
    module = built.compiled.module
    keep_symbols(tmp_path / "kept", module, built.compiled.debug, built.compiled.source_map)
    text = explain(trapped(module, Operation.INIT), module, [tmp_path / "kept"])
    assert re.search(rf"\(\S*lib\.rs:{line}\b", text), text


@pytest.mark.slow
def test_a_trap_in_assemblyscript_names_its_line(tmp_path: Path) -> None:
    need("asc")
    file, before = "assembly/index.ts", "    const since = tick() % this.every;"
    built, line = planted(tmp_path / "begun", "assemblyscript", file, before, "    if (this.total == 0) unreachable();")
    module = built.compiled.module
    keep_symbols(tmp_path / "kept", module, built.compiled.debug, built.compiled.source_map)
    text = explain(trapped(module), module, [tmp_path / "kept"])
    assert re.search(rf"step \(\S*index\.ts:{line}\b", text), text
    assert "at function" not in text, "the debugging companion names every function"
