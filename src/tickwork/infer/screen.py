"""What a model's operators mean for exactness, and which profiles and batches they allow.

The lists name what was measured to be safe; an operator that is on none is unsafe. They are of one version of ONNX
Runtime: the kernels of another may add in another order.

Source: of RULES 1, single operators and whole models on ONNX Runtime 1.31.1, over thread counts, batch sizes 1 to 24,
and instruction sets from SSE to AMX and NEON.
"""

from collections.abc import Sequence
from typing import Final

from ..errors import ModelUnfit
from .manifest import BATCHING, PROFILES, ModelConfig, Port, Screening
from .nodes import Graph, Node
from .portable import COMPARING, EXTREMES, INTEGER, MOVING, ROUNDED_ONCE, SCALED, inexact_operators
from .ports import TENSOR

RULES: Final = 1
"""Version of these lists. A model that was screened by others is screened again by adding it again."""

EXACT_1: Final = "exact-1"
EXACT_PORTABLE: Final = "exact-portable"
FAST: Final = "fast"
ROW: Final = "row"
TICK: Final = "tick"
CERTIFIED: Final = "certified"

RANDOM: Final = frozenset(
    "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike com.microsoft:RandomNormal "
    "com.microsoft:BiasDropout com.microsoft:BitmaskDropout com.microsoft:BitmaskBiasDropout com.microsoft:Sampling "
    "ai.onnx.preview.training:Bernoulli".split()
)
"""They draw numbers from a state that every run moves on."""

WHOLE_BATCH: Final = frozenset(
    "DynamicQuantizeLinear com.microsoft:DynamicQuantizeMatMul com.microsoft:DynamicQuantizeLSTM "
    "com.microsoft:QAttention com.microsoft:MatMulNBits".split()
)
"""They take a scale over all rows, or pick a kernel by their number: no tick batch either."""

_ROW_SAFE: Final = (
    MOVING | COMPARING | ROUNDED_ONCE | INTEGER | SCALED | EXTREMES
    | frozenset(
        "Attention AveragePool BatchNormalization Conv ConvTranspose Dropout Erf Exp GRU Gelu Gemm GlobalAveragePool "
        "HardSigmoid HardSwish InstanceNormalization LSTM LayerNormalization LeakyRelu LogSoftmax LpPool MatMul PRelu "
        "Pow RMSNormalization RNN Reciprocal Resize Sigmoid Softmax Sqrt Tanh ThresholdedRelu".split()
    )
)  # fmt: skip
"""A row's bits do not follow from how many rows there are, nor from its place among them."""

_SUMS: Final = frozenset({"ReduceMean", "ReduceSum"})


def screen(graph: Graph) -> Screening:
    """Return what the operators of a graph mean. Order: each list by name."""
    constants = _constant_names(graph)
    random, neighbours = set[str](), set[str]()
    for node in graph.nodes:
        if node.operator in RANDOM or _draws(graph, node):
            random.add(node.operator)
        if not _keeps_rows_apart(graph, node, constants):
            neighbours.add(node.operator)
    inexact = inexact_operators(graph)
    return Screening(RULES, tuple(sorted(random)), tuple(sorted(neighbours)), tuple(sorted(inexact)))


def has_batch_axis(inputs: Sequence[Port], outputs: Sequence[Port]) -> bool:
    """Return whether requests can be joined along the first dimension, which has one name in all ports."""
    ports = (*inputs, *outputs)
    firsts = {port.shape[0] if port.kind == TENSOR and port.ranked and port.shape else 0 for port in ports}
    return (
        bool(inputs) and bool(outputs) and len(firsts) == 1 and isinstance(first := firsts.pop(), str) and first != ""
    )


def check_profile(config: ModelConfig, profile: str, batch: str = ROW, providers: Sequence[str] = ()) -> None:
    """Refuse what a model's operators do not allow.

    Raises:
        ModelUnfit: TW6015.
    """
    shown, screening = f"{config.name} {config.version}".strip() or "the model", config.screening
    if profile not in PROFILES:
        raise _unfit(f"there is no profile {profile!r}", f"the profiles are {', '.join(PROFILES)}", "take one of these")
    if batch not in BATCHING:
        raise _unfit(f"there is no way of batching {batch!r}", f"it is {', '.join(BATCHING)}", "take one of these")
    if profile != FAST:
        if set(providers) - {"cpu"}:
            raise _unfit(
                f"the profile {profile} runs on cpu alone", f"{', '.join(providers)} was asked for", "take profile fast"
            )
        if screening.random:
            raise _operators(shown, screening.random, f"draw numbers, which {profile} has no place for", "fast")
    if profile == EXACT_PORTABLE:
        _check_rules(shown, screening, profile)
        if screening.inexact:
            raise _operators(shown, screening.inexact, "differ between processors", EXACT_1)
    if batch != ROW:
        _check_batch(shown, config, batch)


def _check_batch(shown: str, config: ModelConfig, batch: str) -> None:
    screening = config.screening
    whole = tuple(sorted({*WHOLE_BATCH, *RANDOM} & set(config.operators) | set(screening.random)))
    if whole:
        raise _operators(shown, whole, "make a row depend on its whole batch", "batch row")
    if not config.batch_axis:
        raise _unfit(
            f"{shown} cannot be batched",
            "not all of its inputs and outputs have one name for their first dimension",
            "export it with a first dimension that callers choose, or take batch row",
        )
    if batch == CERTIFIED:
        _check_rules(shown, screening, batch)
        if screening.neighbours:
            raise _operators(shown, screening.neighbours, "may make a row depend on its neighbours", "batch tick")


def _check_rules(shown: str, screening: Screening, wanted: str) -> None:
    if screening.rules != RULES:
        raise _unfit(
            f"{shown} was screened by rules {screening.rules}",
            f"{wanted} needs rules {RULES}, which are those of the installed ONNX Runtime",
            "add the model again under another version",
        )


def _operators(shown: str, names: Sequence[str], why: str, instead: str) -> ModelUnfit:
    return _unfit(f"{shown} has operators that {why}", ", ".join(names), f"take {instead}, or a model without them")


def _unfit(what: str, why: str, fix: str) -> ModelUnfit:
    return ModelUnfit(what, why=why, fix=fix)


def _constant_names(graph: Graph) -> set[str]:
    """Return the names of values that follow from the file alone."""
    known = set(graph.constants)
    for node in graph.nodes:
        if (
            node.inputs
            and not node.nested
            and node.operator not in RANDOM
            and known.issuperset(filter(None, node.inputs))
        ):
            known.update(node.outputs)
    return known


def _draws(graph: Graph, node: Node) -> bool:
    """Return whether a dropout may be in training, where it draws."""
    if node.operator != "Dropout" or len(node.inputs) < 3 or not node.inputs[2]:
        return False
    mode = graph.constants.get(node.inputs[2])
    return mode is None or mode.values is None or any(mode.values)


def _keeps_rows_apart(graph: Graph, node: Node, constants: set[str]) -> bool:
    if node.operator in _SUMS:
        return _sums_last(graph, node) or set(node.inputs) <= constants
    if node.operator == "MatMul":
        # A right side that is the same for all rows picks its kernel by their number, unless it is packed beforehand.
        right = node.inputs[1] if len(node.inputs) > 1 else ""
        return right in constants or graph.ranks.get(right, 0) > 2
    if node.operator == "Gemm":
        return len(node.inputs) > 1 and node.inputs[1] in constants
    if node.operator == "BatchNormalization":
        return not any(node.numbers.get("training_mode", (0,)))
    if node.operator in {"Dropout", "LayerNormalization", "Pow"} | INTEGER:
        return not _draws(graph, node)
    return node.operator in _ROW_SAFE and not node.nested


def _sums_last(graph: Graph, node: Node) -> bool:
    """Return whether a sum goes over the last dimension alone."""
    axes = node.numbers.get("axes")
    if axes is None and len(node.inputs) > 1 and node.inputs[1] in graph.constants:
        values = graph.constants[node.inputs[1]].values
        axes = None if values is None else tuple(int(value) for value in values)
    rank = graph.ranks.get(node.inputs[0], 0) if node.inputs else 0
    return axes is not None and len(axes) == 1 and (axes[0] == -1 or (rank > 1 and axes[0] == rank - 1))
