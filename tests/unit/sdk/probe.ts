/** Does what a message says, so that tests see what the SDK of AssemblyScript does at its edges. */
import { Agent, BYTES, Frame, MESSAGE, OK, OUTBOX_FULL, Parsed, Reader, Window, WindowEpoch } from "tickwork-agent/assembly";
import { Writer, exit, log, metric, publish, random, randomBelow, reply, root, tick, wallUs } from "tickwork-agent/assembly";
import { WINDOW_EPOCH, begin, end, fuel, register, room, seed, task } from "tickwork-agent/assembly";
export * from "tickwork-agent/assembly/exports";

const board = new Window(0, memory.data(256, 16), 256);

class Probe extends Agent {
  kept: StaticArray<u8> = [];
  told: string = "";
  zero: i32 = 0;

  init(config: Frame): i32 {
    this.told = config.configText("text", "none") + " " + config.configWhole("number", -1).toString();
    return OK;
  }

  receive(message: Frame): i32 {
    if (message.kind == WINDOW_EPOCH) return this.epoch(new WindowEpoch(message));
    if (message.kind != MESSAGE) return publish(0, BYTES, `${message.errorCode} ${message.errorKind}`);
    const line = message.read(), word = line.field(0x20).rest();
    if (word == "throw") throw new Error("told to throw");
    if (word == "divide") return 10 / this.zero;
    if (word == "read") return line.bytes(1000).length;
    if (word == "garbage") {
      this.kept = new StaticArray<u8>(50_000);
      return publish(0, BYTES, this.kept.slice<StaticArray<u8>>(0, 4));
    }
    if (word == "fill") {
      while (log("a line") == OK) {}
      return publish(0, BYTES, "full") == OUTBOX_FULL ? OUTBOX_FULL : OK;
    }
    if (word == "big") return publish(0, BYTES, new StaticArray<u8>(66_000));
    if (word == "names") return metric("n".repeat(96), 1);
    if (word == "tasks") return task(0, 1, 0, new StaticArray<u32>(20_000), "");
    if (word == "reply") return reply(message, BYTES, "back");
    if (word == "exit") return exit();
    return this.numbers(word, line);
  }

  numbers(word: string, line: Reader): i32 {
    if (word == "told") return publish(0, BYTES, this.told);
    if (word == "fixed") return this.parsed(line.fixed(3));
    if (word == "whole") return this.parsed(line.whole());
    if (word == "text") return publish(0, BYTES, new Writer(1).add("é").fixed(line.fixed(3).value, 3).add(" ").u8(0x21));
    if (word == "fields") {
      const out = new Writer();
      while (line.more) out.add("[").add(line.field(0x2c)).add("]");
      return publish(0, BYTES, out);
    }
    if (word == "find") {
      const found = line.find("k");
      return found ? publish(0, BYTES, found) : publish(0, BYTES, "-");
    }
    if (word == "root") return publish(0, BYTES, new Writer().u32(root(line.u64())));
    if (word == "bodies") return this.bodies();
    if (word == "turn") return publish(0, BYTES, `${tick()} ${seed()} ${fuel()} ${wallUs()} ${random()} ${randomBelow(0)}`);
    return publish(0, BYTES, "?");
  }

  parsed(number: Parsed): i32 {
    return publish(0, BYTES, `${number.code} ${number.value}`);
  }

  /** The same body in every form. */
  bodies(): i32 {
    const bytes: StaticArray<u8> = [97, 98, 99], buffer = String.UTF8.encode("abc");
    publish(0, BYTES, "abc");
    publish(0, BYTES, bytes);
    publish(0, BYTES, buffer);
    publish(0, BYTES, Uint8Array.wrap(buffer));
    publish(0, BYTES, new Writer(0).u8(97).u16(0x6362));
    publish(0, BYTES, new Reader(changetype<usize>(bytes), 3));
    const before = room(), at = begin(3);
    memory.copy(at, changetype<usize>(bytes), 3);
    end(2, BYTES, 0, 3);
    return before - room() == 40 ? OK : -1;
  }

  epoch(told: WindowEpoch): i32 {
    store<u8>(board.address, load<u8>(board.address) + 1);
    if (board.write(200, 57) != -6) return -1;
    return publish(0, BYTES, `${told.epoch} ${told.size} ${told.offset} ${told.length}`) || board.write(0, 256);
  }
}

register(new Probe());
