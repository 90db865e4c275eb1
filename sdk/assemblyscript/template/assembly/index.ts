/**
 * A starter: counts the messages it gets, answers each with the count, and tells the total once in a day of ticks.
 *
 * Configuration: {"every": 24}.
 */
import { AGAIN, Agent, BAD_MESSAGE, BYTES, Frame, MESSAGE, NOT_FOUND, OK, OUTBOX_FULL } from "tickwork-agent/assembly";
import { Reader, Writer, metric, publish, register, reply, tick } from "tickwork-agent/assembly";
export * from "tickwork-agent/assembly/exports";

/** Handles are the places in the lists of agent.toml. */
const ON_TOTALS: u32 = 0;

class Counter extends Agent {
  every: u64 = 24;
  total: u64 = 0;

  /** Once, with the configuration. A negative code refuses it. */
  init(config: Frame): i32 {
    const every = config.configWhole("every", 24);
    if (every < 1 || every >= AGAIN) return BAD_MESSAGE;
    this.every = every;
    return OK;
  }

  /** Each message, in order. */
  receive(message: Frame): i32 {
    if (message.kind != MESSAGE) return OK;
    this.total++;
    const code = reply(message, BYTES, this.total.toString());
    return code == NOT_FOUND ? OK : code; // What came from outside has nobody to answer.
  }

  /** After the messages. The result is how many ticks to sleep; a message wakes it earlier. */
  step(): i32 {
    const since = tick() % this.every;
    if (since == 0 && publish(ON_TOTALS, BYTES, new Writer().u64(this.total))) return OUTBOX_FULL;
    return <i32>(this.every - since - 1);
  }

  /** The last turn; what it leaves in the outbox still counts. */
  shutdown(): i32 {
    return metric("total", this.total);
  }

  /** What the next version of this agent goes on with. */
  save(state: Writer): i32 {
    state.u64(this.every).u64(this.total);
    return OK;
  }

  load(state: Reader): i32 {
    if (state.left != 16) return BAD_MESSAGE;
    this.every = state.u64();
    this.total = state.u64();
    return OK;
  }
}

register(new Counter());
