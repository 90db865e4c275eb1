"""What a model's graph consists of, as plain structs: what ``infer/graph.py`` reads and ``infer/screen.py`` judges."""

from collections.abc import Mapping

import msgspec

from .manifest import Port

Numbers = tuple[int | float, ...]


class Constant(msgspec.Struct, frozen=True):
    """A tensor whose value stands in the file.

    Attributes:
        values: Of a short one of whole numbers, bools or float32; None else.
        low, high: Of 8-bit whole numbers with signs that are not kept elsewhere; None else.
    """

    dtype: int
    rank: int
    values: Numbers | None = None
    low: int | None = None
    high: int | None = None


class Node(msgspec.Struct, frozen=True):
    """One use of an operator.

    Attributes:
        operator: Its name, after its domain and a colon where that is not the standard one.
        numbers: Its attributes that are whole numbers, or lists of them.
        nested: Whether it has a subgraph.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: Mapping[str, tuple[int, ...]]
    nested: bool = False


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a file.

    Attributes:
        nodes: Of the graph, its subgraphs and functions, each once.
        constants: By name.
        ranks, dtypes: Of values, as far as the file says or can be inferred, by name.
        files: Paths of other files, relative to the folder, with ``/``. Order: by path.
        expanded: Nodes when functions are expanded.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    ir: int
    opsets: tuple[tuple[str, int], ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Constant]
    ranks: Mapping[str, int]
    dtypes: Mapping[str, int]
    files: tuple[str, ...]
    expanded: int

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators, each once. Order: by name."""
        return tuple(sorted({node.operator for node in self.nodes}))
