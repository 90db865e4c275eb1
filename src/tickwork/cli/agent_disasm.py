"""``tickwork agent disasm``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..authoring.listing import Line, list_functions, pick_function
from ..authoring.names import function_names
from ..authoring.traces import DEBUG_SUFFIX, find_symbols
from ..errors import ToolchainMissing
from ..sandbox import gate, wasm
from ..sandbox.wasm import Malformed, Module
from .config import load_settings, symbols_folder
from .output import Output, talk, write_line, write_rows
from .parcels import read_file

EXAMPLES: Final = """Examples:

    tickwork agent disasm counter.wasm
    tickwork agent disasm counter.wasm --function agent_step
    tickwork agent disasm counter.wasm --function 7 -o jsonl

Shows the code as the engine gets it, in WebAssembly's own words. With the
.debug.wasm of the same build beside it, source lines and names stand there too."""

app = App(name="disasm", help_epilogue=EXAMPLES)


@app.default
def disasm(
    module: Annotated[Path, Parameter(help="A module.")],
    /,
    *,
    function: Annotated[str | None, Parameter(help="Only this one, by its number or name.")] = None,
    output: Output = "text",
) -> int:
    """List a module's code, one instruction a line, with source lines where they are known."""
    data = read_file(module)
    try:
        parsed = wasm.parse(data)
        names = function_names(parsed, _debug(module))
        only = None if function is None else pick_function(parsed, names, function)
        lines = _lines(parsed, names, [module.parent, symbols_folder(load_settings())], only)
        if output == "text":
            for line in lines:
                place = f"{line.at:06x}  " if line.at >= 0 else " " * 8
                write_line(f"{place}{line.text}" + (f"  ;; {line.source}" if line.source else ""))
        else:
            rows = ({"at": line.at, "text": line.text.strip(), "source": line.source} for line in lines)
            write_rows(rows, "lines", {"module": str(module)}, output)
    except Malformed as error:
        raise gate.malformed(module.name, error) from error
    return 0


def _lines(module: Module, names: dict[int, str], folders: list[Path], only: int | None) -> Iterator[Line]:
    try:
        symbols = find_symbols(module, folders)
    except ToolchainMissing as error:
        talk(f"{error.what}; {error.fix}")
        symbols = None
    return list_functions(module, names, symbols, only)


def _debug(path: Path) -> Module | None:
    """Return the debug companion that lies beside a module, parsed."""
    beside = path.with_name(path.name.removesuffix(".wasm") + DEBUG_SUFFIX)
    try:
        return wasm.parse(beside.read_bytes())
    except (OSError, Malformed):
        return None
