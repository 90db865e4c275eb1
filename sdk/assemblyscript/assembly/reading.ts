/** What an agent is given: frames of the inbox, and the bytes in them. */

import { BAD_MESSAGE, ERROR, HEADER_BYTES, NOT_FOUND, OK, RAW_AGENT } from "./abi";

/** What reading a number came to: `value` counts where `code` is OK. */
export class Parsed {
  constructor(public code: i32, public value: i64) {}
}

/**
 * A stretch of bytes that is read from its start to its end, little-endian.
 *
 * The bytes are borrowed: of a frame they are valid until the function that was given the frame returns. Reading beyond the
 * end throws a RangeError, which undoes the turn; ask `left` first where a stranger wrote the bytes.
 */
export class Reader {
  private place: usize;
  private end: usize;

  constructor(address: usize, length: u32) {
    this.place = address;
    this.end = address + length;
  }

  /** The address of what is left. */
  get address(): usize {
    return this.place;
  }

  /** How many bytes are left. */
  get left(): u32 {
    return <u32>(this.end - this.place);
  }

  private take(count: u32): usize {
    const at = this.place;
    if (count > this.left) throw new RangeError("a read goes beyond the end of the bytes");
    this.place = at + count;
    return at;
  }

  u8(): u8 {
    return load<u8>(this.take(1));
  }
  i8(): i8 {
    return load<i8>(this.take(1));
  }
  u16(): u16 {
    return load<u16>(this.take(2));
  }
  i16(): i16 {
    return load<i16>(this.take(2));
  }
  u32(): u32 {
    return load<u32>(this.take(4));
  }
  i32(): i32 {
    return load<i32>(this.take(4));
  }
  u64(): u64 {
    return load<u64>(this.take(8));
  }
  i64(): i64 {
    return load<i64>(this.take(8));
  }
  f32(): f32 {
    return load<f32>(this.take(4));
  }
  f64(): f64 {
    return load<f64>(this.take(8));
  }

  /** Returns the next `count` bytes as a reader of their own. They stay borrowed. */
  slice(count: u32): Reader {
    return new Reader(this.take(count), count);
  }

  /** Returns a copy of the next `count` bytes, which may be kept. */
  bytes(count: u32): StaticArray<u8> {
    const copy = new StaticArray<u8>(count);
    memory.copy(changetype<usize>(copy), this.take(count), count);
    return copy;
  }

  /** Returns the next `count` bytes as text, read as UTF-8. */
  text(count: u32): string {
    return String.UTF8.decodeUnsafe(this.take(count), count);
  }

  /** Returns what is left as text, read as UTF-8. */
  rest(): string {
    return this.text(this.left);
  }

  /** Returns whether what is left is `text` in UTF-8. */
  equals(text: string): bool {
    const wanted = String.UTF8.encode(text);
    return this.left == <u32>wanted.byteLength && memory.compare(this.place, changetype<usize>(wanted), this.left) == 0;
  }

  /**
   * Returns the bytes up to the next `separator`, which is passed over, and the rest where there is none.
   * A line has been read to its end when `more` is false.
   */
  field(separator: u8): Reader {
    const start = this.place;
    let at = start;
    while (at < this.end && load<u8>(at) != separator) at++;
    this.ended = at == this.end;
    this.place = this.ended ? at : at + 1;
    return new Reader(start, <u32>(at - start));
  }
  private ended: bool = false;

  /** Returns whether `field` has another one to give; an empty line has one empty field. */
  get more(): bool {
    return !this.ended;
  }

  /**
   * Reads what is left as a decimal number, as a whole number of 10^-`decimals`: "-3.25" with 3 decimals gives -3250.
   * Digits beyond `decimals` are cut off. Integers only, so every machine reads the same number.
   * Code: OK; NOT_FOUND for no text; BAD_MESSAGE for what is no such number or beyond about 9.2 * 10^17 of them.
   */
  fixed(decimals: u32): Parsed {
    const most: i64 = (i64.MAX_VALUE - 9) / 10; // Above it, one more digit might not fit.
    let at = this.place, digits: u32 = 0, after: u32 = 0, total: i64 = 0;
    let negative = false, point = false;
    if (at == this.end) return new Parsed(NOT_FOUND, 0);
    const first = load<u8>(at);
    if (first == 0x2d || first == 0x2b) {
      negative = first == 0x2d;
      at++;
    }
    for (; at < this.end; at++) {
      const sign = load<u8>(at);
      if (sign == 0x2e && !point) {
        point = true;
        continue;
      }
      if (sign < 0x30 || sign > 0x39) return new Parsed(BAD_MESSAGE, 0);
      digits++;
      if (point && after == decimals) continue;
      after += u32(point);
      if (total > most) return new Parsed(BAD_MESSAGE, 0);
      total = total * 10 + (sign - 0x30);
    }
    for (; after < decimals; after++) {
      if (total > most) return new Parsed(BAD_MESSAGE, 0);
      total *= 10;
    }
    return digits ? new Parsed(OK, negative ? -total : total) : new Parsed(BAD_MESSAGE, 0);
  }

  /** Reads what is left as a whole number. Code: as `fixed`. */
  whole(): Parsed {
    for (let at = this.place; at < this.end; at++) {
      if (load<u8>(at) == 0x2e) return new Parsed(BAD_MESSAGE, 0);
    }
    return this.fixed(0);
  }

  /**
   * Finds a key of the outermost object of canonical JSON, which is what configurations are (no spaces between tokens).
   * Returns the value's bytes (a text without its quotes, escapes as written), or null. A key with an escape is not found.
   */
  find(key: string): Reader | null {
    const wanted = String.UTF8.encode(key), size = <u32>wanted.byteLength;
    let at = this.place + 1;
    if (!this.left || load<u8>(this.place) != 0x7b) return null;
    while (at < this.end && load<u8>(at) == 0x22) {
      const close = skipText(at, this.end), from = close + 1, to = skipValue(from, this.end);
      if (from > to || to > this.end) return null;
      if (close - at - 2 == size && memory.compare(at + 1, changetype<usize>(wanted), size) == 0) {
        const quoted = u32(to - from >= 2 && load<u8>(from) == 0x22);
        return new Reader(from + quoted, <u32>(to - from) - 2 * quoted);
      }
      at = to + 1;
    }
    return null;
  }
}

/** Returns the address behind the JSON text (in quotes) that starts at `at`, or `end` where it does not end. */
function skipText(at: usize, end: usize): usize {
  for (at++; at < end && load<u8>(at) != 0x22; at++) {
    if (load<u8>(at) == 0x5c) at++;
  }
  return at < end ? at + 1 : end;
}

/** Returns the address behind the JSON value that starts at `at`. */
function skipValue(at: usize, end: usize): usize {
  let depth = 0;
  while (at < end) {
    const sign = load<u8>(at);
    const closes = sign == 0x7d || sign == 0x5d;
    if (!depth && (closes || sign == 0x2c)) return at;
    if (sign == 0x22) {
      at = skipText(at, end);
      continue;
    }
    if (closes) depth--;
    else if (sign == 0x7b || sign == 0x5b) depth++;
    at++;
  }
  return at;
}

/**
 * One frame: this header, then the body. It is borrowed: valid until the function it was given to returns.
 *
 * `destination` is the handle in `subscribe` for what came by a topic and DIRECT otherwise, the tag of a TIMER_FIRED or
 * TASK_READY, the skill's handle (for a model MODEL | handle) of a RESULT or ERROR, the window's handle of a WINDOW_EPOCH.
 * `seq` is the place in the run's order of messages, `tick` the tick in which it was sent.
 */
@unmanaged
export class Frame {
  size: u32;
  kind: u16;
  encoding: u16;
  source: u32;
  destination: u32;
  seq: u64;
  tick: u64;

  /** The length of the body in bytes. */
  get length(): u32 {
    return this.size > HEADER_BYTES ? this.size - HEADER_BYTES : 0;
  }

  /** The address of the body, a multiple of 8. */
  get address(): usize {
    return changetype<usize>(this) + HEADER_BYTES;
  }

  /** Returns a reader at the start of the body. */
  read(): Reader {
    return new Reader(this.address, this.length);
  }

  /** Returns the body as text, read as UTF-8. */
  text(): string {
    return String.UTF8.decodeUnsafe(this.address, this.length);
  }

  /** Returns a copy of the body, which may be kept. */
  bytes(): StaticArray<u8> {
    return this.read().bytes(this.length);
  }

  /** Whether an agent sent it, so that `reply` has somebody to answer. */
  get fromAgent(): bool {
    return !(this.source & RAW_AGENT);
  }

  /** The refusal that an ERROR frame tells (a negative code), or 0 for a frame of another kind. */
  get errorCode(): i32 {
    return this.kind == ERROR && this.length >= 4 ? load<i32>(this.address) : 0;
  }

  /** The kind of the frame that an ERROR frame is about, or 0. */
  get errorKind(): u32 {
    return this.kind == ERROR && this.length >= 8 ? load<u32>(this.address, 4) : 0;
  }

  /** Returns the whole number under `key` of a configuration, or `otherwise` where there is none. */
  configWhole(key: string, otherwise: i64): i64 {
    const found = this.read().find(key);
    if (!found) return otherwise;
    const number = found.whole();
    return number.code == OK ? number.value : otherwise;
  }

  /** Returns the text under `key` of a configuration as it is written (escapes stay), or `otherwise`. */
  configText(key: string, otherwise: string): string {
    const found = this.read().find(key);
    return found ? found.rest() : otherwise;
  }
}

/** What a WINDOW_EPOCH frame says: the bytes `offset` to `offset + length` of the window are new. */
export class WindowEpoch {
  epoch: u64;
  /** Bytes valid from the region's start; for a ring, all bytes ever written. */
  size: u64;
  offset: u64;
  length: u64;

  constructor(frame: Frame) {
    const body = frame.read();
    this.epoch = body.u64();
    this.size = body.u64();
    this.offset = body.u64();
    this.length = body.u64();
  }
}
