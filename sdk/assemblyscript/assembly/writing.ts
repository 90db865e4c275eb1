/** What an agent leaves: frames in the outbox, and the bytes in them. */

import {
  BYTES, EXIT, HEADER_BYTES, INFER, JOIN, LEAVE, LOG, METRIC, NOT_FOUND, OK, OUTBOX, OUTBOX_BYTES, OUTBOX_FULL, PUBLISH,
  PUBLISH_RETAINED, RAW_AGENT, SEND, SKILL, SPAWN, TASK, TIMER, TOO_BIG, WINDOW_WRITE, context,
} from "./abi";
import { Frame, Reader } from "./reading";

/** Bytes being put together, little-endian: a body, or the state that `save` writes. It grows as needed. */
export class Writer {
  private bytes: StaticArray<u8>;
  private used: u32 = 0;

  constructor(capacity: u32 = 64) {
    this.bytes = new StaticArray<u8>(capacity);
  }

  /** Where the bytes lie, until more are added. */
  get address(): usize {
    return changetype<usize>(this.bytes);
  }

  get length(): u32 {
    return this.used;
  }

  /** Makes room for `count` bytes and returns their address. */
  private room(count: u32): usize {
    const at = this.used, needed = at + count, capacity = <u32>this.bytes.length;
    if (needed > capacity) {
      const larger = new StaticArray<u8>(max(needed, 2 * capacity));
      memory.copy(changetype<usize>(larger), changetype<usize>(this.bytes), at);
      this.bytes = larger;
    }
    this.used = needed;
    return changetype<usize>(this.bytes) + at;
  }

  /** Starts anew, with the room it has. */
  clear(): Writer {
    this.used = 0;
    return this;
  }

  u8(value: u8): Writer {
    store<u8>(this.room(1), value);
    return this;
  }
  u16(value: u16): Writer {
    store<u16>(this.room(2), value);
    return this;
  }
  u32(value: u32): Writer {
    store<u32>(this.room(4), value);
    return this;
  }
  i32(value: i32): Writer {
    store<i32>(this.room(4), value);
    return this;
  }
  u64(value: u64): Writer {
    store<u64>(this.room(8), value);
    return this;
  }
  i64(value: i64): Writer {
    store<i64>(this.room(8), value);
    return this;
  }
  f32(value: f32): Writer {
    store<f32>(this.room(4), value);
    return this;
  }
  f64(value: f64): Writer {
    store<f64>(this.room(8), value);
    return this;
  }

  /** Adds `count` bytes that lie at an address. */
  copy(address: usize, count: u32): Writer {
    memory.copy(this.room(count), address, count);
    return this;
  }

  /** Adds bytes: a text in UTF-8, or what else `write` takes as a body. */
  add<T>(piece: T): Writer {
    if (isNullable<T>()) return this.add<NonNullable<T>>(piece!);
    if (isString<T>()) {
      const text = <string>piece, count = <u32>String.UTF8.byteLength(text);
      String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, this.room(count));
      return this;
    }
    return this.copy(addressOf(piece), lengthOf(piece));
  }

  /** Adds a whole number of 10^-`decimals` as decimal text: -3250 with 3 decimals adds "-3.250". `decimals` is at most 18. */
  fixed(value: i64, decimals: u32): Writer {
    decimals = min<u32>(decimals, 18);
    let rest: u64 = value < 0 ? 0 - <u64>value : <u64>value, text = "", digits: u32 = 0;
    do {
      if (digits && digits == decimals) text = "." + text;
      text = (rest % 10).toString() + text;
      rest /= 10;
      digits++;
    } while (rest || digits <= decimals);
    return this.add(value < 0 ? "-" + text : text);
  }
}

/** Returns where a body's bytes lie; a text has none that are UTF-8 yet. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function addressOf<T>(body: T): usize {
  if (isNullable<T>()) return addressOf<NonNullable<T>>(body!);
  if (body instanceof Writer) return (<Writer>body).address;
  if (body instanceof Reader) return (<Reader>body).address;
  if (body instanceof Frame) return (<Frame>body).address;
  if (body instanceof Uint8Array) return (<Uint8Array>body).dataStart;
  if (body instanceof StaticArray<u8>) return changetype<usize>(body);
  if (body instanceof ArrayBuffer) return changetype<usize>(body);
  ERROR("a body is a string, Frame, Writer, Reader, StaticArray<u8>, Uint8Array or ArrayBuffer");
  return 0;
}

/** Returns how many bytes a body has. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function lengthOf<T>(body: T): u32 {
  if (isNullable<T>()) return lengthOf<NonNullable<T>>(body!);
  if (isString<T>()) return <u32>String.UTF8.byteLength(<string>body);
  if (body instanceof Writer) return (<Writer>body).length;
  if (body instanceof Reader) return (<Reader>body).left;
  if (body instanceof Frame) return (<Frame>body).length;
  if (body instanceof Uint8Array) return <u32>(<Uint8Array>body).byteLength;
  if (body instanceof StaticArray<u8>) return <u32>(<StaticArray<u8>>body).length;
  if (body instanceof ArrayBuffer) return <u32>(<ArrayBuffer>body).byteLength;
  return 0;
}

/** Writes a body's bytes to an address that has room for them. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function put<T>(at: usize, body: T, length: u32): void {
  if (isNullable<T>()) put<NonNullable<T>>(at, body!, length);
  else if (isString<T>()) String.UTF8.encodeUnsafe(changetype<usize>(body), (<string>body).length, at);
  else memory.copy(at, addressOf(body), length);
}

/** Returns how long a body the next frame may have, in bytes; 0 also where not even a header fits. */
export function room(): u32 {
  const used = context().outLength + HEADER_BYTES;
  return used < <u32>OUTBOX_BYTES ? <u32>OUTBOX_BYTES - used : 0;
}

/**
 * Starts a frame whose body is written in place.
 * Returns where to write `length` bytes, or 0 where they do not fit. The frame is in the outbox when `end` is called;
 * without that nothing happened.
 */
export function begin(length: u32): usize {
  const used = context().outLength, most = <u32>OUTBOX_BYTES - HEADER_BYTES;
  if (used > most || length > most - used) return 0;
  return OUTBOX + used + HEADER_BYTES;
}

/** Ends the frame that `begin` started: `length` bytes of body, at most as many as were asked for. */
export function end(kind: u16, encoding: u16, destination: u32, length: u32): void {
  const now = context(), frame = changetype<Frame>(OUTBOX + now.outLength);
  const size = HEADER_BYTES + length, padded = (size + 7) & ~7;
  frame.size = size;
  frame.kind = kind;
  frame.encoding = encoding;
  frame.source = now.agent;
  frame.destination = destination;
  frame.seq = now.outCount;
  frame.tick = now.tick;
  memory.fill(changetype<usize>(frame) + size, 0, padded - size);
  now.outLength += padded;
  now.outCount++;
}

/**
 * Writes one frame. All calls below go through it and return what it returns.
 * A body is a string (written as UTF-8), a Frame (its body), a Writer, a Reader (what is left of it), a StaticArray<u8>, a
 * Uint8Array or an ArrayBuffer.
 * Returns OK; OUTBOX_FULL where it does not fit any more (nothing is written); TOO_BIG where it would not fit into an empty
 * outbox either.
 */
export function write<T>(kind: u16, encoding: u16, destination: u32, body: T): i32 {
  const length = lengthOf(body), at = begin(length);
  if (!at) return length > <u32>OUTBOX_BYTES - HEADER_BYTES ? TOO_BIG : OUTBOX_FULL;
  put(at, body, length);
  end(kind, encoding, destination, length);
  return OK;
}

/** Writes one frame whose body lies at an address. Returns as `write`. */
export function writeAt(kind: u16, encoding: u16, destination: u32, address: usize, length: u32): i32 {
  const at = begin(length);
  if (!at) return length > <u32>OUTBOX_BYTES - HEADER_BYTES ? TOO_BIG : OUTBOX_FULL;
  memory.copy(at, address, length);
  end(kind, encoding, destination, length);
  return OK;
}

/** Sends a body to the agent that stands at `handle` in the manifest's `send` list. It arrives in the next tick. */
export function send<T>(handle: u32, encoding: u16, body: T): i32 {
  return write(SEND, encoding, handle, body);
}

/** Sends a body to an agent by its number. The world must allow it: send = ["*"]. */
export function sendTo<T>(agent: u32, encoding: u16, body: T): i32 {
  return write(SEND, encoding, RAW_AGENT | agent, body);
}

/** Answers the agent that sent `message`. Returns NOT_FOUND where no agent sent it. */
export function reply<T>(message: Frame, encoding: u16, body: T): i32 {
  return message.fromAgent ? sendTo(message.source, encoding, body) : NOT_FOUND;
}

/** Publishes a body on the topic that stands at `handle` in the manifest's `publish` list. */
export function publish<T>(handle: u32, encoding: u16, body: T): i32 {
  return write(PUBLISH, encoding, handle, body);
}

/**
 * As `publish`, and the topic keeps the body as its value; it arrives as a RETAINED frame, also at whoever joins later. A topic
 * has one value: of several writes in one tick, the last in slot order wins and the others are recorded as lost.
 */
export function publishRetained<T>(handle: u32, encoding: u16, body: T): i32 {
  return write(PUBLISH_RETAINED, encoding, handle, body);
}

/** Subscribes to the topic that stands at `handle` in the manifest's `subscribe` list. */
export function join(handle: u32): i32 {
  return writeAt(JOIN, BYTES, handle, 0, 0);
}

/** Ends the subscription to the topic that stands at `handle` in the manifest's `subscribe` list. */
export function leave(handle: u32): i32 {
  return writeAt(LEAVE, BYTES, handle, 0, 0);
}

/** Asks for a TIMER_FIRED frame that carries `tag`, in `delay` ticks; 0 counts as 1. */
export function timer(tag: u32, delay: u64): i32 {
  const at = begin(8);
  if (!at) return OUTBOX_FULL;
  store<u64>(at, delay);
  end(TIMER, BYTES, tag, 8);
  return OK;
}

/**
 * Calls the skill that stands at `handle` in the manifest's `skills` list. The answer comes as RESULT or ERROR; answers of one
 * skill come in the order of its calls where the world's ordering is "issue".
 */
export function call<T>(handle: u32, encoding: u16, body: T): i32 {
  return write(SKILL, encoding, handle, body);
}

/** Asks the model that stands at `handle` in the manifest's `models` list. The answer's destination is MODEL | handle. */
export function infer<T>(handle: u32, encoding: u16, body: T): i32 {
  return write(INFER, encoding, handle, body);
}

/** Starts an agent from the template that stands at `handle` in the manifest's `spawn` list; `config` is its configuration. */
export function spawn<T>(handle: u32, encoding: u16, config: T): i32 {
  return write(SPAWN, encoding, handle, config);
}

/** Ends this agent after the turn. Its outbox still counts. */
export function exit(): i32 {
  return writeAt(EXIT, BYTES, 0, 0, 0);
}

/** Leaves a line of text for a person. */
export function log(text: string): i32 {
  return write(LOG, BYTES, 0, text);
}

/** Leaves a measurement for a person: the frame's body is NAME=VALUE. Returns TOO_BIG for a name above 95 bytes. */
export function metric(name: string, value: i64): i32 {
  if (String.UTF8.byteLength(name) > 95) return TOO_BIG;
  return write(METRIC, BYTES, 0, name + "=" + value.toString());
}

/**
 * Plans a task: the agent at `handle` of the `send` list gets `body` as a TASK_READY frame once all tasks of `after` are done.
 * `tag` names the task to its owner; `after` holds the tags of tasks this agent planned earlier. A higher `priority` goes first.
 * Returns as `write`.
 */
export function task<T>(handle: u32, tag: u32, priority: i32, after: StaticArray<u32>, body: T): i32 {
  const count = <u32>after.length, length = lengthOf(body);
  if (count > <u32>OUTBOX_BYTES / 4 || length > <u32>OUTBOX_BYTES) return TOO_BIG;
  const fixed: u32 = (16 + 4 * count + 7) & ~7;
  if (fixed + length > <u32>OUTBOX_BYTES - HEADER_BYTES) return TOO_BIG;
  const at = begin(fixed + length);
  if (!at) return OUTBOX_FULL;
  memory.fill(at, 0, fixed);
  store<i32>(at, priority);
  store<u32>(at, tag, 4);
  store<u32>(at, count, 8);
  memory.copy(at + 16, changetype<usize>(after), 4 * count);
  put(at + fixed, body, length);
  end(TASK, BYTES, handle, fixed + length);
  return OK;
}

/** Says that bytes of the window's region are new: see `Window`. */
export function windowWrite(handle: u32, offset: u64, length: u64): i32 {
  const at = begin(48);
  if (!at) return OUTBOX_FULL;
  store<u64>(at, offset);
  store<u64>(at, length, 8);
  memory.fill(at + 16, 0, 32); // The host puts the digest of the written bytes here.
  end(WINDOW_WRITE, BYTES, handle, 48);
  return OK;
}
