/** Tensors: what models are asked with and what they answer. */

import { BAD_MESSAGE, HEADER_BYTES, INFER, IN_WINDOW, NOT_FOUND, OK, OUTBOX_BYTES, OUTBOX_FULL, TENSOR, TOO_BIG } from "./abi";
import { Frame } from "./reading";
import { begin, end } from "./writing";

/** Types of a tensor's elements, the codes of ONNX. */
export namespace DType {
  export const FLOAT32: u16 = 1;
  export const UINT8: u16 = 2;
  export const INT8: u16 = 3;
  export const UINT16: u16 = 4;
  export const INT16: u16 = 5;
  export const INT32: u16 = 6;
  export const INT64: u16 = 7;
  /** Each element is a u32 length and that many bytes of UTF-8. */
  export const STRING: u16 = 8;
  export const BOOL: u16 = 9;
  export const FLOAT16: u16 = 10;
  export const FLOAT64: u16 = 11;
  export const UINT32: u16 = 12;
  export const UINT64: u16 = 13;
  export const COMPLEX64: u16 = 14;
  export const COMPLEX128: u16 = 15;
  export const BFLOAT16: u16 = 16;
  export const FLOAT8E4M3FN: u16 = 17;
  export const FLOAT8E4M3FNUZ: u16 = 18;
  export const FLOAT8E5M2: u16 = 19;
  export const FLOAT8E5M2FNUZ: u16 = 20;
  /** Types of less than a byte are packed, the first element in the low bits. */
  export const UINT4: u16 = 21;
  export const INT4: u16 = 22;
  export const FLOAT4E2M1: u16 = 23;
  export const FLOAT8E8M0: u16 = 24;
  export const UINT2: u16 = 25;
  export const INT2: u16 = 26;
}

const RANK_MOST: u32 = 32;
/** What no tensor's length is. */
const NOWHERE: u32 = 0xffffffff;

/** Returns the bits of one element; 0 for text and for what is no type. */
export function dtypeBits(dtype: u16): u32 {
  if (dtype == DType.COMPLEX128) return 128;
  if (dtype == DType.INT64 || dtype == DType.FLOAT64 || dtype == DType.UINT64 || dtype == DType.COMPLEX64) return 64;
  if (dtype == DType.FLOAT32 || dtype == DType.INT32 || dtype == DType.UINT32) return 32;
  if (dtype == DType.UINT16 || dtype == DType.INT16 || dtype == DType.FLOAT16 || dtype == DType.BFLOAT16) return 16;
  if (dtype == DType.STRING || !dtype || dtype > DType.INT2) return 0;
  if (dtype == DType.UINT2 || dtype == DType.INT2) return 2;
  return dtype == DType.UINT4 || dtype == DType.INT4 || dtype == DType.FLOAT4E2M1 ? 4 : 8;
}

/** Returns the type code of AssemblyScript's T; a T that no tensor has elements of does not compile. */
// @ts-ignore: a decorator of AssemblyScript
@inline
export function dtypeOf<T>(): u16 {
  if (isBoolean<T>()) return DType.BOOL;
  if (isFloat<T>()) return sizeof<T>() == 4 ? DType.FLOAT32 : DType.FLOAT64;
  if (!isInteger<T>()) ERROR("tensors have elements of numbers and bool");
  if (sizeof<T>() == 1) return isSigned<T>() ? DType.INT8 : DType.UINT8;
  if (sizeof<T>() == 2) return isSigned<T>() ? DType.INT16 : DType.UINT16;
  if (sizeof<T>() == 4) return isSigned<T>() ? DType.INT32 : DType.UINT32;
  return isSigned<T>() ? DType.INT64 : DType.UINT64;
}

/** Returns the bytes that the elements of a shape take, or NOWHERE where type and shape have no such number. */
function dataBytes(dtype: u16, shape: StaticArray<i64>): u32 {
  const bits = dtypeBits(dtype);
  let count: u64 = 1, large = false;
  for (let axis = 0; axis < shape.length; axis++) {
    const dimension = shape[axis];
    if (dimension < 0) return NOWHERE;
    if (!dimension) count = 0;
    if (count && (large || <u64>dimension > <u64>i32.MAX_VALUE / count)) large = true;
    else count *= dimension;
  }
  const bytes = (count * bits + 7) >> 3;
  return !bits || (large && count) || bytes > <u64>i32.MAX_VALUE ? NOWHERE : <u32>bytes;
}

/**
 * A tensor. `name` is that of the model's input or output; empty for the one at the tensor's place. The elements lie at
 * `address`, row by row and little-endian: of one that was read in the frame, otherwise in the array it was made of.
 */
export class Tensor {
  constructor(
    public name: string,
    public dtype: u16,
    public shape: StaticArray<i64>,
    public address: usize,
    public length: u32,
  ) {}

  /** Returns a tensor of these elements, which are as many as the shape says; otherwise `inferTensors` returns TOO_BIG. */
  static of<T>(shape: StaticArray<i64>, elements: StaticArray<T>, name: string = ""): Tensor {
    const length = <u32>elements.length << alignof<T>();
    return new Tensor(name, dtypeOf<T>(), shape, changetype<usize>(elements), length);
  }

  /** How many elements there are, of a type of whole bytes. */
  get count(): u32 {
    const bits = dtypeBits(this.dtype);
    return bits < 8 ? 0 : (this.length << 3) / bits;
  }

  /** Returns an element. One of another type, or beyond the end, throws a RangeError. */
  get<T>(index: u32): T {
    if (dtypeOf<T>() != this.dtype || index >= this.count) throw new RangeError("a tensor has no such element");
    return load<T>(this.address + ((<usize>index) << alignof<T>()));
  }

  /** Whether the data is as long as type and shape say. The elements of a text are not looked at. */
  get fits(): bool {
    if (<u32>this.shape.length > RANK_MOST) return false;
    return this.dtype == DType.STRING || dataBytes(this.dtype, this.shape) == this.length;
  }

  /** How many bytes it takes in a body. */
  get bodyBytes(): u32 {
    const name = <u32>String.UTF8.byteLength(this.name);
    return 16 + 8 * <u32>this.shape.length + ((name + 7) & ~7) + ((this.length + 7) & ~7);
  }

  /** Writes it where `bodyBytes` are free, and returns where the next one goes. */
  put(at: usize): usize {
    const rank = <u32>this.shape.length, name = String.UTF8.encode(this.name), named = <u32>name.byteLength;
    const data = at + 16 + 8 * rank + ((named + 7) & ~7), behind = data + ((this.length + 7) & ~7);
    memory.fill(at, 0, data - at);
    store<u16>(at, this.dtype);
    store<u16>(at, <u16>rank, 2);
    store<u32>(at, named, 4);
    store<u64>(at, this.length, 8);
    memory.copy(at + 16, changetype<usize>(this.shape), 8 * rank);
    memory.copy(at + 16 + 8 * rank, changetype<usize>(name), named);
    memory.copy(data, this.address, this.length);
    memory.fill(data + this.length, 0, behind - data - this.length);
    return behind;
  }
}

/**
 * Asks the model that stands at `handle` in the manifest's `models` list for its outputs on tensors, one for each input.
 * Returns as `write`; TOO_BIG also where the data of one is not as long as its type and shape say.
 */
export function inferTensors(handle: u32, tensors: StaticArray<Tensor>): i32 {
  const most = <u32>OUTBOX_BYTES - HEADER_BYTES;
  let length: u32 = 0;
  for (let index = 0; index < tensors.length; index++) {
    const tensor = tensors[index];
    if (!tensor.fits || tensor.length > most) return TOO_BIG;
    length += tensor.bodyBytes;
    if (length > most) return TOO_BIG;
  }
  let at = begin(length);
  if (!at) return OUTBOX_FULL;
  for (let index = 0; index < tensors.length; index++) at = tensors[index].put(at);
  end(INFER, TENSOR, handle, length);
  return OK;
}

/** As `inferTensors`, for a model with one input. */
export function inferTensor<T>(handle: u32, shape: StaticArray<i64>, elements: StaticArray<T>): i32 {
  return inferTensors(handle, [Tensor.of<T>(shape, elements)]);
}

/**
 * Asks a model for its outputs on tensors that lie in a window which the agent writes or reads: `length` bytes at `offset`, as
 * the window is when the tick is over.
 */
export function inferWindow(handle: u32, window: u32, offset: u64, length: u64): i32 {
  const at = begin(24);
  if (!at) return OUTBOX_FULL;
  store<u32>(at, window);
  store<u32>(at, 0, 4);
  store<u64>(at, offset, 8);
  store<u64>(at, length, 16);
  end(INFER, IN_WINDOW, handle, 24);
  return OK;
}

/** The tensors of a body, one after the other. */
export class Tensors {
  private at: usize;
  private end: usize;
  /** OK; BAD_MESSAGE where reading has met what is no tensor, or the body is not of tensors. */
  code: i32 = OK;

  constructor(frame: Frame) {
    this.at = frame.address;
    this.end = this.at + frame.length;
    if (frame.encoding != TENSOR) this.refuse();
  }

  private refuse(): Tensor | null {
    this.code = BAD_MESSAGE;
    this.at = this.end;
    return null;
  }

  /** Returns the next tensor, or null behind the last and where the bytes are no tensor; `code` tells the two apart. */
  next(): Tensor | null {
    const at = this.at, left = <u32>(this.end - at);
    if (!left) return null;
    if (left < 16) return this.refuse();
    const rank = <u32>load<u16>(at, 2), named = load<u32>(at, 4), length = load<u64>(at, 8);
    const start = 16 + 8 * <u64>rank + ((<u64>named + 7) & ~7);
    if (rank > RANK_MOST || start > left || length > left - start) return this.refuse();
    const shape = new StaticArray<i64>(rank);
    memory.copy(changetype<usize>(shape), at + 16, 8 * rank);
    const name = String.UTF8.decodeUnsafe(at + 16 + 8 * rank, named);
    const tensor = new Tensor(name, load<u16>(at), shape, at + <usize>start, <u32>length);
    if (!tensor.fits) return this.refuse();
    this.at = at + min<usize>(left, <usize>((start + length + 7) & ~7));
    return tensor;
  }
}

/** A tensor of an answer, or the code that says why there is none: NOT_FOUND, or BAD_MESSAGE for what is not of tensors. */
export class Found {
  constructor(public code: i32, public tensor: Tensor | null) {}
}

/** Returns the tensor of that name in a model's answer. */
export function resultTensor(result: Frame, name: string): Found {
  const tensors = new Tensors(result);
  for (let tensor = tensors.next(); tensor; tensor = tensors.next()) {
    if (tensor.name == name) return new Found(OK, tensor);
  }
  return new Found(tensors.code ? tensors.code : NOT_FOUND, null);
}
