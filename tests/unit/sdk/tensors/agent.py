"""Reads tensors and asks with them, so that a test can compare languages."""

from tickwork import Context, Encoding, FrameKind, Message, Outbox, Refusal
from tickwork.errors import ModelInputInvalid
from tickwork.tensors import (
    FLOAT32,
    FLOAT64,
    INT64,
    STRING,
    UINT8,
    Tensor,
    decode_tensors,
    join_text,
    make_tensor,
    read_numbers,
)


class Tensorial:
    """Keeps nothing."""

    def init(self, config: bytes, context: Context) -> tuple[None, Outbox]:
        return None, context.outbox()

    def turn(self, state: None, inbox: tuple[Message, ...], context: Context) -> tuple[None, Outbox]:
        out = context.outbox()
        for message in inbox:
            try:
                receive(out, message)
            except ModelInputInvalid:
                out.refuse(Refusal.BAD_MESSAGE)
            if out.code < 0:
                break
        return state, out

    def shutdown(self, state: None, context: Context) -> tuple[None, Outbox]:
        return state, context.outbox()


def receive(out: Outbox, message: Message) -> None:
    if message.kind == FrameKind.RESULT:
        answered(out, message)
    elif message.encoding == Encoding.TENSOR:
        out.infer_tensors("first", decode_tensors(message.body))
    else:
        asked(out, message.body)


def asked(out: Outbox, word: bytes) -> None:
    if word == b"o":
        out.infer_tensors("first", [make_tensor(FLOAT32, (1, 3), (1.5, -2, 0.25))])
    elif word == b"s":
        out.infer_tensors("first", [make_tensor(FLOAT64, (), (-0.125,))])
    elif word == b"n":
        given = [
            make_tensor(INT64, (2, 2), (1, -2, 3, 1 << 40), "ids"),
            make_tensor(UINT8, (3,), (0, 1, 255), "flags"),
            Tensor("said", STRING, (1,), join_text(["hello"])),
        ]
        out.infer_tensors("second", given)
    elif word == b"e":
        out.infer_tensors("first", [make_tensor(FLOAT32, (0, 1 << 62), ())])
    elif word == b"w":
        out.infer_window("second", "board", 8, 1 << 33)
    elif word == b"h":
        out.infer_tensors("first", [make_tensor(FLOAT32, (1 << 40, 1 << 40), (1.5, -2, 0.25))])
    elif word == b"l":
        out.infer_tensors("first", [make_tensor(UINT8, (70000,), bytes(70000))])
    else:
        out.refuse(Refusal.UNSUPPORTED)


def answered(out: Outbox, result: Message) -> None:
    if result.encoding != Encoding.TENSOR:
        out.refuse(Refusal.BAD_MESSAGE)
        return
    tensors = [tensor for tensor in decode_tensors(result.body) if tensor.name == "out"]
    if not tensors:
        out.refuse(Refusal.NOT_FOUND)
        return
    found = tensors[0]
    total = sum(int(number * 8) for number in read_numbers(found)) if found.dtype == FLOAT32 else 0
    out.log(f"{found.dtype} {len(found.shape)} {found.shape[-1] if found.shape else -1} {total}")
