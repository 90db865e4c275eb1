//! Reads tensors and asks with them, so that a test can compare languages.

#![no_std]

use tickwork::{Agent, Config, DType, Encoding, Error, Event, Message, Result, Tensor, Turn, log};

const FIRST: u32 = 0;
const SECOND: u32 = 1;
const MOST: usize = 64;

struct Tensorial;

impl Agent for Tensorial {
    fn init(_turn: &mut Turn, _config: &Config) -> Result<Self> {
        Ok(Self)
    }

    fn receive(&mut self, turn: &mut Turn, message: &Message) -> Result {
        match message.event() {
            Event::ModelResult(_) => answered(turn, message),
            _ if message.encoding() == Encoding::TENSOR => again(turn, message),
            _ => asked(turn, message.body()),
        }
    }
}

/// Asks the model with the very tensors a message brings.
fn again(turn: &mut Turn, message: &Message) -> Result {
    let mut tensors = [Tensor::new("", DType::UINT8, &[0], &[]); MOST];
    let mut count = 0;
    for (place, tensor) in tensors.iter_mut().zip(message.tensors()?) {
        *place = tensor?;
        count += 1;
    }
    turn.infer_tensors(FIRST, &tensors[..count])
}

fn asked(turn: &mut Turn, word: &[u8]) -> Result {
    let values = [1.5_f32, -2.0, 0.25];
    match word {
        b"o" => turn.infer_elements(FIRST, &[1, 3], &values),
        b"s" => turn.infer_elements(FIRST, &[], &[-0.125_f64]),
        b"n" => named(turn),
        b"h" => turn.infer_elements(FIRST, &[1 << 40, 1 << 40], &values),
        b"l" => turn.infer_elements(FIRST, &[70000], &[0_u8; 70000]),
        b"e" => turn.infer_elements::<f32>(FIRST, &[0, 1 << 62], &[]),
        b"w" => turn.infer_window(SECOND, 0, 8, 1 << 33),
        b"p" => put(turn),
        _ => Err(Error::Unsupported),
    }
}

/// Says how many bytes a tensor takes in a region that it fits, and whether it goes into one that is too small.
fn put(turn: &mut Turn) -> Result {
    let mut region = [0; 64];
    let tensor = Tensor::new("x", DType::UINT8, &[3], &[1, 2, 3]);
    log!(turn, "{:?} {:?}", tensor.write(&mut region), tensor.write(&mut region[..39]))
}

fn named(turn: &mut Turn) -> Result {
    let mut ids = [0; 32];
    for (place, id) in ids.chunks_exact_mut(8).zip([1_i64, -2, 3, 1 << 40]) {
        place.copy_from_slice(&id.to_le_bytes());
    }
    turn.infer_tensors(
        SECOND,
        &[
            Tensor::new("ids", DType::INT64, &[2, 2], &ids),
            Tensor::new("flags", DType::UINT8, &[3], &[0, 1, 255]),
            Tensor::new("said", DType::STRING, &[1], b"\x05\0\0\0hello"),
        ],
    )
}

/// Says what the tensor "out" of an answer holds: type, rank, last dimension, and the sum of its floats in eighths.
fn answered(turn: &mut Turn, result: &Message) -> Result {
    let out = result.tensor("out")?;
    let sum = out.elements::<f32>().map_or(0, |values| values.map(|value| (value * 8.0) as i64).sum::<i64>());
    log!(turn, "{} {} {} {sum}", out.dtype.0, out.shape.rank(), out.shape.iter().next_back().unwrap_or(-1))
}

tickwork::agent!(Tensorial);
