/** Reads tensors and asks with them, so that a test can compare languages. */
import { Agent, DType, Frame, RESULT, TENSOR, Tensor, Tensors, UNSUPPORTED } from "tickwork-agent/assembly";
import { inferTensor, inferTensors, inferWindow, log, register, resultTensor } from "tickwork-agent/assembly";
export * from "tickwork-agent/assembly/exports";

const VALUES: StaticArray<f32> = [1.5, -2, 0.25];
const HELLO: StaticArray<u8> = [5, 0, 0, 0, 104, 101, 108, 108, 111];

/** Asks the model with the very tensors a message brings. */
function again(message: Frame): i32 {
  const tensors = new Array<Tensor>(), each = new Tensors(message);
  for (let tensor = each.next(); tensor; tensor = each.next()) tensors.push(tensor);
  return each.code ? each.code : inferTensors(0, StaticArray.fromArray(tensors));
}

function named(): i32 {
  return inferTensors(1, [
    Tensor.of<i64>([2, 2], [1, -2, 3, 1 << 40], "ids"),
    Tensor.of<u8>([3], [0, 1, 255], "flags"),
    new Tensor("said", DType.STRING, [1], changetype<usize>(HELLO), HELLO.length),
  ]);
}

function asked(word: string): i32 {
  if (word == "o") return inferTensor<f32>(0, [1, 3], VALUES);
  if (word == "s") return inferTensor<f64>(0, [], [-0.125]);
  if (word == "n") return named();
  if (word == "h") return inferTensor<f32>(0, [1 << 40, 1 << 40], VALUES);
  if (word == "l") return inferTensor<u8>(0, [70000], new StaticArray<u8>(70000));
  if (word == "e") return inferTensor<f32>(0, [0, 1 << 62], []);
  if (word == "w") return inferWindow(1, 0, 8, 1 << 33);
  return UNSUPPORTED;
}

/** Says what the tensor "out" of an answer holds: type, rank, last dimension, and the sum of its floats in eighths. */
function answered(result: Frame): i32 {
  const found = resultTensor(result, "out"), out = found.tensor;
  if (!out) return found.code;
  const rank = out.shape.length;
  let sum: i64 = 0;
  if (out.dtype == DType.FLOAT32) {
    for (let index: u32 = 0; index < out.count; index++) sum += <i64>(out.get<f32>(index) * 8);
  }
  return log(`${out.dtype} ${rank} ${rank ? out.shape[rank - 1] : -1} ${sum}`);
}

class Tensorial extends Agent {
  receive(message: Frame): i32 {
    if (message.kind == RESULT) return answered(message);
    return message.encoding == TENSOR ? again(message) : asked(message.text());
  }
}

register(new Tensorial());
