/** The agent: a class of the author's, one object of which is registered. */

import { BYTES, CONFIG, CONTEXT, DIRECT, HEADER_BYTES, INBOX, INBOX_BYTES, OK, OUTBOX_FULL, OUTSIDE, TOO_BIG } from "./abi";
import { UNSUPPORTED, UNTIL_MESSAGE, context } from "./abi";
import { Frame, Reader } from "./reading";
import { Writer, windowWrite } from "./writing";

/** What an agent does. Every function may be left out; a negative code other than OUTBOX_FULL undoes the whole turn. */
export abstract class Agent {
  /** Once, with the configuration (its body is empty where there is none). A negative code refuses it. */
  init(_config: Frame): i32 {
    return OK;
  }

  /** Each frame of the mailbox, in order. */
  receive(_message: Frame): i32 {
    return OK;
  }

  /** After the messages: returns ticks to sleep (0 for the next tick), AGAIN, UNTIL_MESSAGE or a negative code. */
  step(): i32 {
    return UNTIL_MESSAGE;
  }

  /** The last turn; its outbox still counts. */
  shutdown(): i32 {
    return OK;
  }

  /** Writes the state that the next version of this agent gets from `load`. */
  save(_state: Writer): i32 {
    return UNSUPPORTED;
  }

  /** Takes the state that an earlier version saved, instead of `init`. */
  load(_state: Reader): i32 {
    return UNSUPPORTED;
  }
}

let registered: Agent | null = null;

/** Makes this object the module's agent. Called once, where the module starts. */
export function register(agent: Agent): void {
  assert(!registered, "a module has one agent: register was called twice");
  registered = agent;
}

function agent(): Agent {
  return assert(registered, "no agent: call register(new YourAgent()) at the end of the entry file");
}

const WINDOW_COUNT: u32 = 64;
const WINDOWS: usize = memory.data(512, 16);

/**
 * A window: a fixed region of memory that the host carries between agents. Make it where the module starts, as a constant:
 *
 *     const board = new Window(0, memory.data(4096, 16), 4096);
 *
 * `handle` is the place in the manifest's `windows` list. A writer fills the region and calls `write`; a reader finds the
 * content in the region when a WINDOW_EPOCH frame says so.
 */
export class Window {
  constructor(
    public readonly handle: u32,
    public readonly address: usize,
    public readonly capacity: u32,
  ) {
    assert(handle < WINDOW_COUNT, "a module has at most 64 windows");
    store<u32>(WINDOWS + 8 * handle, <u32>address);
    store<u32>(WINDOWS + 8 * handle, capacity, 4);
  }

  /** Says that `length` bytes from `offset` of the region are the new content, or are to be appended. Returns as `write`. */
  write(offset: u64, length: u64): i32 {
    if (offset > this.capacity || length > <u64>this.capacity - offset) return TOO_BIG;
    return windowWrite(this.handle, offset, length);
  }
}

// --- what the exports do ---

const NO_CONFIG: usize = memory.data(32, 16);

/** Returns the frame that starts at `offset` of the inbox, or null at the end or where a size does not fit. */
function frameAt(offset: u32): Frame | null {
  const end = context().inLength;
  if (end > <u32>INBOX_BYTES || offset > end || end - offset < HEADER_BYTES) return null;
  const frame = changetype<Frame>(INBOX + offset);
  return frame.size < HEADER_BYTES || frame.size > end - offset ? null : frame;
}

function openOutbox(): void {
  context().outLength = 0;
  context().outCount = 0;
}

/**
 * Frees what nothing refers to and returns `code`. This is the only time it happens: between turns no object is on the stack,
 * so that nothing in use can be missed, and every machine frees at the same time.
 */
function close(code: i32): i32 {
  __collect();
  return code;
}

/** What agent_init does. */
export function runInit(): i32 {
  openOutbox();
  const given = frameAt(0);
  if (given) return close(agent().init(given));
  const none = changetype<Frame>(NO_CONFIG);
  none.size = HEADER_BYTES;
  none.kind = CONFIG;
  none.encoding = BYTES;
  none.source = OUTSIDE;
  none.destination = DIRECT;
  return close(agent().init(none));
}

/** What agent_receive does. */
export function runReceive(message: usize): i32 {
  return agent().receive(changetype<Frame>(message));
}

/** What agent_step does. */
export function runStep(): i32 {
  return close(agent().step());
}

/**
 * What tw_turn does: hands every frame of the inbox to `receive`, then calls `step`.
 * A negative code ends the turn at once, save OUTBOX_FULL from `receive`: then the remaining messages are still delivered, so
 * that each is seen exactly once, and the turn ends with OUTBOX_FULL unless `step` fails.
 */
export function runTurn(): i32 {
  openOutbox();
  const own = agent();
  let offset: u32 = 0, full = false;
  for (let message = frameAt(offset); message; message = frameAt(offset)) {
    offset += (message.size + 7) & ~7;
    const code = own.receive(message);
    if (code == OUTBOX_FULL) full = true;
    else if (code < 0) return code;
  }
  const code = own.step();
  return close(full && code >= 0 ? OUTBOX_FULL : code);
}

/** What agent_shutdown does. */
export function runShutdown(): i32 {
  openOutbox();
  return agent().shutdown();
}

/** What agent_save does: returns the length of the state, which lies at `address` now, or a negative code. */
export function runSave(address: usize, capacity: u32): i32 {
  openOutbox();
  const state = new Writer(256), code = agent().save(state);
  if (code < 0) return code;
  if (state.length > capacity) return TOO_BIG;
  memory.copy(address, state.address, state.length);
  return <i32>state.length;
}

/** What agent_load does. */
export function runLoad(address: usize, length: u32): i32 {
  openOutbox();
  return close(agent().load(new Reader(address, length)));
}

/** What tw_windows does: returns the address of the table of windows, {u32 address, u32 capacity} each. */
export function windowTable(): usize {
  return WINDOWS;
}
