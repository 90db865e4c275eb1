"""A world whose agents ask a real model, one of them for what lies in a window, and two versions of that model."""

from pathlib import Path

from tests.unit.infer import nets

CODE = '''
import struct

from tickwork.tensors import FLOAT32, Tensor, encode_tensors
from tickwork.records import FrameKind


class Judge:
    """Asks a little in each tick and says how long the answers are."""

    def init(self, config, context):
        return (), context.outbox()

    def turn(self, state, inbox, context):
        outbox = context.outbox()
        for message in inbox:
            outbox.log(f"{FrameKind(message.kind).name} {message.body[:40].decode()}")
        if context.tick < 8:
            outbox.infer("scorer", b'{"x": [[1, 0, %d]]}' % context.tick)
            outbox.sleep(0)
        return state, outbox

    def shutdown(self, state, context):
        return state, context.outbox()


class Painter(Judge):
    """Asks for 6000 rows, more than an outbox holds."""

    def turn(self, state, inbox, context):
        outbox = context.outbox()
        if context.tick in (2, 6):
            rows = struct.pack("<18000f", *range(context.tick, 18000 + context.tick))
            body = encode_tensors([Tensor("x", FLOAT32, (6000, 3), rows)])
            outbox.write("sky", body)
            outbox.infer_window("scorer", "sky", 0, len(body))
            outbox.sleep(3)
        elif context.tick < 8:
            outbox.sleep(0)
        return state, outbox
'''

WORLD = """schema = 1
name = "scores"
ticks = 10

[models.scorer]
file = "scorer.onnx"

[windows.sky]
bytes = 100000
writer = "painter"

[agents.judge]
native = "code:Judge"
models = ["scorer"]

[agents.painter]
native = "code:Painter"
models = ["scorer"]
windows = ["sky"]
"""

ANSWERS = 9
"""Of the model in a run: seven to the judge, two to the painter."""


def write_world(folder: Path) -> Path:
    """Write the world and its models, and return its file."""
    (folder / "code.py").write_text(CODE, encoding="utf-8")
    (folder / "scorer.onnx").write_bytes(nets.mlp((3, 2)))
    (folder / "better.onnx").write_bytes(nets.mlp((3, 2), seed=8))
    (folder / "wider.onnx").write_bytes(nets.conv())
    path = folder / "world.toml"
    path.write_text(WORLD, encoding="utf-8")
    return path
