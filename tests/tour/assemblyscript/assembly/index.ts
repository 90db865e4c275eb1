/** Makes every call of the SDK once, one in each step, so that the SDKs of all languages can be compared byte for byte. */
import { Agent, BAD_MESSAGE, BYTES, Frame, JSON, MSGPACK, OK, RAW_AGENT, Reader, UNTIL_MESSAGE } from "tickwork-agent/assembly";
import { Window, Writer, call, infer, join, leave, log, metric, publish } from "tickwork-agent/assembly";
import { publishRetained, randomBelow, register, self, send, spawn, task, timer, write } from "tickwork-agent/assembly";
export * from "tickwork-agent/assembly/exports";

/** Every list of agent.toml holds one name. */
const ONLY: u32 = 0;

const CALLS: u64 = 17;
const USER_KIND: u16 = 0x8001;
const STATE_BYTES: u32 = 24;
const FNV_START: u64 = 0xcbf29ce484222325;
const FNV_PRIME: u64 = 0x100000001b3;

const board = new Window(ONLY, memory.data(1024, 16), 1024);

class Tour extends Agent {
  steps: u64 = 0;
  count: u64 = 0;
  hash: u64 = FNV_START;

  hashed(address: usize, length: u32): void {
    for (let at = address; at < address + length; at++) this.hash = (this.hash ^ load<u8>(at)) * FNV_PRIME;
  }

  receive(frame: Frame): i32 {
    const start = changetype<usize>(frame);
    this.count++;
    this.hashed(start + offsetof<Frame>("kind"), 2);
    this.hashed(start + offsetof<Frame>("encoding"), 2);
    this.hashed(start + offsetof<Frame>("destination"), 4);
    this.hashed(frame.address, frame.length);
    return OK;
  }

  writeWindow(): i32 {
    String.UTF8.encodeUnsafe(changetype<usize>("window 10"), 9, board.address);
    return board.write(0, 9);
  }

  call(number: i32): i32 {
    switch (number) {
      case 0:
        return send(ONLY, BYTES, "hello");
      case 1:
        return publish(ONLY, JSON, '{"n":1}');
      case 2:
        return publishRetained(ONLY, BYTES, "kept");
      case 3:
        return leave(ONLY);
      case 4:
        return join(ONLY);
      case 5:
        return timer(7, 2);
      case 6:
        return task(ONLY, 1, 5, [], "one");
      case 7:
        return task(ONLY, 2, 0, [1], "two");
      case 8:
        return call(ONLY, MSGPACK, [0x93, 1, 2, 3] as StaticArray<u8>);
      case 9:
        return infer(ONLY, BYTES, "ask");
      case 10:
        return this.writeWindow();
      case 11:
        return log("tour 11");
      case 12:
        return metric("tour", 12);
      case 13:
        return spawn(ONLY, JSON, '{"k":1}');
      case 14:
        return write(USER_KIND, BYTES, RAW_AGENT | self(), "user");
      case 15:
        return metric("random", randomBelow(1000));
      default: {
        const code = metric("count", this.count);
        return code ? code : metric("hash", this.hash);
      }
    }
  }

  step(): i32 {
    return this.steps < CALLS ? this.call(<i32>(this.steps++)) : UNTIL_MESSAGE;
  }

  save(state: Writer): i32 {
    state.u64(this.steps).u64(this.count).u64(this.hash);
    return OK;
  }

  load(state: Reader): i32 {
    if (state.left != STATE_BYTES) return BAD_MESSAGE;
    this.steps = state.u64();
    this.count = state.u64();
    this.hash = state.u64();
    return OK;
  }
}

register(new Tour());
