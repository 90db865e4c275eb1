/** Agent ABI v1.0: codes, kinds, and the regions that host and agent share. */

/** Return codes, for an agent's functions and for every call that writes a frame. Below -1000 they are the agent's own. */
export const OK: i32 = 0;
export const FAILED: i32 = -1;
export const BAD_MESSAGE: i32 = -2;
export const NO_MEMORY: i32 = -3;
export const DENIED: i32 = -4;
export const NOT_FOUND: i32 = -5;
export const TOO_BIG: i32 = -6;
/** From a step: what is in the outbox counts, plan me again with the rest. */
export const OUTBOX_FULL: i32 = -7;
export const UNSUPPORTED: i32 = -8;
export const BAD_STATE: i32 = -9;
export const CONFLICT: i32 = -10;
export const TIMEOUT: i32 = -11;
/** Stop me. */
export const FATAL: i32 = -12;

/** From a step: plan me again, this work is unfinished. */
export const AGAIN: i32 = 0x7ffffffe;
/** From a step: sleep until a message, a result or a timer comes. */
export const UNTIL_MESSAGE: i32 = 0x7fffffff;

/** Kinds of frames. From USER on they are the author's. */
export const SEND: u16 = 1;
export const PUBLISH: u16 = 2;
export const PUBLISH_RETAINED: u16 = 3;
export const JOIN: u16 = 4;
export const LEAVE: u16 = 5;
export const SPAWN: u16 = 6;
export const EXIT: u16 = 7;
export const TIMER: u16 = 8;
export const TASK: u16 = 9;
export const INFER: u16 = 10;
export const SKILL: u16 = 11;
export const WINDOW_WRITE: u16 = 12;
export const LOG: u16 = 13;
export const METRIC: u16 = 14;
export const MESSAGE: u16 = 32;
export const RESULT: u16 = 33;
export const ERROR: u16 = 34;
export const TIMER_FIRED: u16 = 35;
export const RETAINED: u16 = 36;
export const WINDOW_EPOCH: u16 = 37;
export const CONFIG: u16 = 38;
export const TASK_READY: u16 = 39;
export const USER: u16 = 0x8000;

/** How a body reads. */
export const BYTES: u16 = 0;
export const JSON: u16 = 1;
export const MSGPACK: u16 = 2;
export const TENSOR: u16 = 3;
export const ARTIFACT: u16 = 4;
export const IN_WINDOW: u16 = 5;

/** Source of a message that no agent sent. */
export const OUTSIDE: u32 = 0xffffffff;
/** Destination of a message that came by no topic. */
export const DIRECT: u32 = 0xffffffff;
/** In a destination: the rest is an agent's number, not a handle. */
export const RAW_AGENT: u32 = 0x80000000;
/** In the destination of a RESULT or ERROR: the rest is the handle of a model, not of a skill. */
export const MODEL: u32 = 0x80000000;

/**
 * Sizes of inbox and outbox: 4096 to 1048576, a multiple of 16; 65536 unless told. The file asconfig.json sets them:
 * {"options": {"use": ["TICKWORK_INBOX_BYTES=24576", "TICKWORK_OUTBOX_BYTES=24576"]}}
 */
// @ts-ignore: the compiler is given the constant, where there is one
export const INBOX_BYTES: i32 = isDefined(TICKWORK_INBOX_BYTES) ? TICKWORK_INBOX_BYTES : 65536;
// @ts-ignore: the compiler is given the constant, where there is one
export const OUTBOX_BYTES: i32 = isDefined(TICKWORK_OUTBOX_BYTES) ? TICKWORK_OUTBOX_BYTES : 65536;

export const HEADER_BYTES: u32 = 32;
const CONTEXT_BYTES: i32 = 64;
const DESCRIPTOR_BYTES: i32 = 32;

/** The module's regions. They lie in static memory, so that their addresses never change. */
export const INBOX: usize = memory.data(INBOX_BYTES, 16);
export const OUTBOX: usize = memory.data(OUTBOX_BYTES, 16);
export const CONTEXT: usize = memory.data(CONTEXT_BYTES, 16);
export const DESCRIPTOR: usize = memory.data(DESCRIPTOR_BYTES, 16);

/** The turn's context, as the host fills it; `outLength` and `outCount` are written by the calls of this package. */
@unmanaged
export class Context {
  tick: u64;
  seed: u64;
  /** Instructions the turn may use: the bound at its start, it does not count down. */
  fuel: u64;
  /** Microseconds since 1970 with the `clock` capability, else 0. */
  wallUs: u64;
  agent: u32;
  inLength: u32;
  inCount: u32;
  outLength: u32;
  outCount: u32;
}

/** Returns the context of this turn. */
// @ts-ignore: a decorator of AssemblyScript
@inline
export function context(): Context {
  return changetype<Context>(CONTEXT);
}

/** Returns the address of the descriptor, filled in. Layout: 'TWA1', u16 major, minor, then addresses and sizes, flags. */
export function describe(): usize {
  assert(INBOX_BYTES >= 4096 && INBOX_BYTES <= 1048576 && INBOX_BYTES % 16 == 0, "TICKWORK_INBOX_BYTES is out of bounds");
  assert(OUTBOX_BYTES >= 4096 && OUTBOX_BYTES <= 1048576 && OUTBOX_BYTES % 16 == 0, "TICKWORK_OUTBOX_BYTES is out of bounds");
  store<u32>(DESCRIPTOR, 0x31415754);
  store<u16>(DESCRIPTOR, 1, 4);
  store<u16>(DESCRIPTOR, 0, 6);
  store<u32>(DESCRIPTOR, <u32>INBOX, 8);
  store<u32>(DESCRIPTOR, INBOX_BYTES, 12);
  store<u32>(DESCRIPTOR, <u32>OUTBOX, 16);
  store<u32>(DESCRIPTOR, OUTBOX_BYTES, 20);
  store<u32>(DESCRIPTOR, <u32>CONTEXT, 24);
  store<u32>(DESCRIPTOR, 1, 28); // Bit 0: tw_turn is exported.
  return DESCRIPTOR;
}
