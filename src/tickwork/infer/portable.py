"""Which operators of a graph give equal bits on every processor: whole numbers, and what IEEE 754 fixes.

A layer in 8 bits is written in two ways. As one operator on whole numbers, or as an operator on floats with
DequantizeLinear before and QuantizeLinear behind it, which ONNX Runtime makes one operator on whole numbers of. Where
it would not, the floats are added up in an order of the processor's own, and the layer is not portable.

Source: whole models in static 8 bits of both forms, with weights without signs or of 7 bits, gave equal bits from SSE
to AMX and on two ARM processors; with weights of 8 bits and a sign they did not.
"""

from collections.abc import Mapping
from typing import Final

from ..tensors import FLOAT32, FLOAT64, INT8, STRING, UINT8
from .nodes import Constant, Graph, Node

MOVING: Final = frozenset(
    "Cast CastLike Concat Constant ConstantOfShape DepthToSpace Expand EyeLike Flatten Gather GatherElements GatherND "
    "Identity NonZero OneHot Pad Range Reshape ScatterElements ScatterND Shape Size Slice SpaceToDepth Split Squeeze "
    "Tile TopK Transpose Trilu Unsqueeze Where ArgMax ArgMin".split()
)
COMPARING: Final = frozenset(
    "And BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual "
    "Max Min Not Or Xor".split()
)
ROUNDED_ONCE: Final = frozenset("Abs Add Ceil Clip Div Floor Mul Neg Relu Round Sign Sub".split())
"""IEEE 754 says every bit of their results."""

INTEGER: Final = frozenset("ConvInteger MatMulInteger QLinearConv QLinearMatMul com.microsoft:QGemm".split())
SCALED: Final = frozenset("DequantizeLinear QuantizeLinear".split())
EXTREMES: Final = frozenset("GlobalMaxPool MaxPool ReduceMax ReduceMin".split())
_AVERAGES: Final = frozenset({"com.microsoft:QLinearGlobalAveragePool"})

_PORTABLE: Final = MOVING | COMPARING | ROUNDED_ONCE | INTEGER | SCALED | EXTREMES | _AVERAGES
_WHOLE_ONLY: Final = frozenset(
    "Clip GlobalMaxPool Max MaxPool Min ReduceMax ReduceMin Relu ScatterElements ScatterND Sign".split()
)
"""Of floats they may take either of two zeros, or add in any order; what was just dequantized has one zero."""

_MERGED: Final = frozenset("Add Concat Mul Where".split())
"""Between the two scalings they become one operator that was not measured."""

_PRODUCTS: Final = frozenset("Conv Gemm MatMul".split())
_WEIGHT_PLACES: Final = {
    "MatMulInteger": 1, "ConvInteger": 1, "QLinearMatMul": 3, "QLinearConv": 3, "com.microsoft:QGemm": 3,
}  # fmt: skip
_WEIGHT_MOST: Final = 64
"""Two products of 255 and this fit in 16 bits with a sign, where AVX2 adds them up: 2 * 255 * 64 < 2 ** 15."""

_WHOLE: Final = frozenset({UINT8, INT8, 4, 5, 6, 7, 9, 12, 13})
_FLOATS: Final = frozenset({FLOAT32, FLOAT64})
_DTYPES: Final = _WHOLE | _FLOATS | {STRING}
SMALL_FLOATS: Final = "16-bit and smaller floats"


def inexact_operators(graph: Graph) -> set[str]:
    """Return the operators whose bits may differ between processors, and ``SMALL_FLOATS`` where there are any."""
    net = _Net(graph)
    found = {node.operator for node in graph.nodes if not net.is_portable(node)}
    dtypes = {*graph.dtypes.values(), *(port.dtype for port in (*graph.inputs, *graph.outputs))}
    dtypes |= {constant.dtype for constant in graph.constants.values()}
    return found | ({SMALL_FLOATS} if dtypes - _DTYPES else set())


class _Net:
    """A graph with who makes each value and who takes it."""

    def __init__(self, graph: Graph) -> None:
        self._constants: Mapping[str, Constant] = graph.constants
        self._dtypes = graph.dtypes
        self._outputs = {port.name for port in graph.outputs}
        self._makers = dict[str, Node]()
        self._takers = dict[str, list[Node]]()
        for node in graph.nodes:
            self._makers.update(dict.fromkeys(node.outputs, node))
            for name in node.inputs:
                self._takers.setdefault(name, []).append(node)

    def is_portable(self, node: Node) -> bool:
        """Return whether an operator gives equal bits everywhere."""
        name = node.operator
        if node.nested:
            return False
        if name in _PRODUCTS:
            return self._is_product_of_integers(node)
        if name == "GlobalAveragePool":
            return self._is_between(node)
        if name not in _PORTABLE:
            return False
        if name in _WEIGHT_PLACES:
            place = _WEIGHT_PLACES[name]
            return len(node.inputs) > place and self._fits(node.inputs[place])
        if name in _MERGED:
            return not self._is_between(node)
        if name in _WHOLE_ONLY:
            return self._is_whole(node) or self._follows(node)
        return name not in {"Cast", "CastLike"} or self._is_safe_cast(node)

    def _is_whole(self, node: Node) -> bool:
        return bool(node.inputs) and self._dtypes.get(node.inputs[0]) in _WHOLE

    def _is_safe_cast(self, node: Node) -> bool:
        # A float too large for a whole number becomes another one on each processor.
        to_float = node.numbers.get("to", (0,))[0] in _FLOATS
        return self._is_whole(node) or (to_float and bool(node.inputs) and self._dtypes.get(node.inputs[0]) in _FLOATS)

    def _fits(self, name: str) -> bool:
        """Return whether sums of products with these weights cannot saturate: without signs, or of 7 bits."""
        weights = self._constants.get(name)
        if weights is None:
            return self._dtypes.get(name) == UINT8
        if weights.low is None or weights.high is None:
            return weights.dtype == UINT8
        return weights.low >= -_WEIGHT_MOST and weights.high <= _WEIGHT_MOST

    def _is_made_by(self, name: str, operator: str) -> Node | None:
        maker = self._makers.get(name)
        return maker if maker is not None and maker.operator == operator else None

    def _only_taker(self, name: str) -> Node | None:
        takers = self._takers.get(name, [])
        return takers[0] if len(takers) == 1 and name not in self._outputs else None

    def _is_between(self, node: Node) -> bool:
        """Return whether an input was just dequantized and the output is quantized at once."""
        after = self._only_taker(node.outputs[0])
        quantized = after is not None and after.operator == "QuantizeLinear"
        return quantized and any(self._is_made_by(name, "DequantizeLinear") for name in node.inputs)

    def _follows(self, node: Node) -> bool:
        """Return whether floats come from whole numbers: just dequantized, or by a product that is one of those."""
        maker = self._makers.get(node.inputs[0]) if node.inputs else None
        if maker is None:
            return False
        return maker.operator == "DequantizeLinear" or (node.operator == "Relu" and self._is_product_of_integers(maker))

    def _is_product_of_integers(self, node: Node) -> bool:
        """Return whether the runtime makes a product of whole numbers of one that is written in floats."""
        if node.operator not in _PRODUCTS or len(node.inputs) < 2:
            return False
        left, right = (self._is_made_by(name, "DequantizeLinear") for name in node.inputs[:2])
        if left is None or right is None or not (self._is_fixed(left) and self._is_fixed(right)):
            return False
        if self._constants.get(right.inputs[0]) is None or not self._fits(right.inputs[0]):
            return False
        if len(node.inputs) > 2 and node.inputs[2] and not self._is_made_by(node.inputs[2], "DequantizeLinear"):
            return False
        after = self._only_taker(node.outputs[0])
        if after is not None and after.operator == "Relu":
            # It goes into the scaling behind it where that cuts off at 0 itself.
            after = self._only_taker(after.outputs[0])
            if after is None or len(after.inputs) < 3 or not self._is_zero(after.inputs[2]):
                return False
        return after is not None and after.operator == "QuantizeLinear" and self._is_fixed(after)

    def _is_fixed(self, scaling: Node) -> bool:
        """Return whether scale and zero point stand in the file, and the values between are of 8 bits."""
        if len(scaling.inputs) < 3 or not all(name in self._constants for name in scaling.inputs[1:3]):
            return False
        zero = self._constants[scaling.inputs[2]]
        return zero.dtype == UINT8 or (zero.dtype == INT8 and scaling.inputs[0] in self._constants)

    def _is_zero(self, name: str) -> bool:
        zero = self._constants.get(name)
        return zero is not None and zero.dtype == UINT8 and zero.values == (0,)
