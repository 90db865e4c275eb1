/** Gives back what it gets: to whoever sent it, or on the topic where nobody did. Counts what it gave back. */
import { Agent, BAD_MESSAGE, Frame, MESSAGE, OK, OUTSIDE, Reader, Writer } from "tickwork-agent/assembly";
import { metric, publish, register, sendTo } from "tickwork-agent/assembly";
export * from "tickwork-agent/assembly/exports";

/** Handles are the places in the lists of agent.toml. */
const ON_ECHOES: u32 = 0;

class Echo extends Agent {
  count: u64 = 0;

  receive(message: Frame): i32 {
    if (message.kind != MESSAGE) return OK;
    const code =
      message.source == OUTSIDE
        ? publish(ON_ECHOES, message.encoding, message)
        : sendTo(message.source, message.encoding, message);
    if (code == OK) this.count++;
    return code;
  }

  shutdown(): i32 {
    return metric("echoed", this.count);
  }

  save(state: Writer): i32 {
    state.u64(this.count);
    return OK;
  }

  load(state: Reader): i32 {
    if (state.left != 8) return BAD_MESSAGE;
    this.count = state.u64();
    return OK;
  }
}

register(new Echo());
