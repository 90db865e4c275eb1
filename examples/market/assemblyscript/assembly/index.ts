/**
 * A trader, and its own book of orders: everybody sees every order in the same order, so everybody's book is the same.
 *
 * Configuration: {"cash": 10000, "every": 4, "price": 100, "spread": 5}.
 */
import { Agent, BAD_MESSAGE, BYTES, DIRECT, Frame, MESSAGE, OK, OUTBOX_FULL, OUTSIDE, RETAINED } from "tickwork-agent/assembly";
import { Reader, TIMER_FIRED, Writer, log, metric, publish, publishRetained, random } from "tickwork-agent/assembly";
import { randomBelow, register, self, sendTo, timer } from "tickwork-agent/assembly";
export * from "tickwork-agent/assembly/exports";

/** Handles are the places in the lists of agent.toml. */
const ORDERS: u32 = 0;
const PRICE: u32 = 1;

const TIME_TO_ORDER: u32 = 1;
const LOG_EVERY: i64 = 16;
const STATE_BYTES: u32 = 104;

/** An order that waits in the book until the opposite side meets it. */
class Resting {
  constructor(
    public agent: i64,
    public side: i64,
    public price: i64,
    public quantity: i64,
  ) {}

  /** Whether an order of this side and price trades with it. */
  meets(agent: i64, side: i64, price: i64): bool {
    if (this.side != -side || this.agent == agent) return false;
    return side > 0 ? price >= this.price : price <= this.price;
  }
}

class Market extends Agent {
  every: i64 = 0;
  spread: i64 = 0;
  cash: i64 = 0;
  stock: i64 = 100;
  last: i64 = 0;
  trades: i64 = 0;
  settled: i64 = 0;
  hub: i64 = 0;
  resting: Resting | null = null;

  init(config: Frame): i32 {
    this.every = config.configWhole("every", 4);
    this.spread = config.configWhole("spread", 5);
    this.cash = config.configWhole("cash", 10000);
    this.last = config.configWhole("price", 100);
    if (this.every < 1 || this.spread < 0 || this.last < 1) return BAD_MESSAGE;
    return timer(TIME_TO_ORDER, 1 + (self() % <u64>this.every));
  }

  receive(frame: Frame): i32 {
    const kind = frame.kind, topic = frame.destination, length = frame.length;
    if (kind == TIMER_FIRED && topic == TIME_TO_ORDER) return this.order();
    if (kind == MESSAGE && topic == ORDERS && length == 24) {
      if (frame.source == OUTSIDE) return OK; // Only with an agent can a trade be settled.
      const body = frame.read();
      return this.ordered(frame.source, body.i64(), body.i64(), body.i64());
    }
    if ((kind == MESSAGE || kind == RETAINED) && topic == PRICE && length == 8) {
      this.hub = frame.read().i64();
    } else if (kind == MESSAGE && topic == DIRECT && length == 16) {
      const body = frame.read();
      body.i64(); // The price; the quantity follows.
      this.settled += body.i64();
    }
    return OK;
  }

  /** Publishes an order near the last price, to buy or to sell. */
  order(): i32 {
    const side: i64 = random() & 1 ? 1 : -1;
    const near = this.last - this.spread + <i64>randomBelow(<u32>(2 * this.spread + 1));
    const quantity = 1 + <i64>randomBelow(10);
    const body = new Writer(24).i64(side).i64(max<i64>(near, 1)).i64(quantity);
    const code = publish(ORDERS, BYTES, body);
    return code ? code : timer(TIME_TO_ORDER, this.every);
  }

  ordered(agent: i64, side: i64, price: i64, quantity: i64): i32 {
    const resting = this.resting;
    if (resting && resting.meets(agent, side, price)) return this.match(resting, agent, side, quantity);
    this.resting = new Resting(agent, side, price, quantity);
    return OK;
  }

  match(resting: Resting, agent: i64, side: i64, quantity: i64): i32 {
    const price = resting.price, traded = min(quantity, resting.quantity);
    const buyer = side > 0 ? agent : resting.agent, seller = side > 0 ? resting.agent : agent;
    this.trades++;
    this.last = price;
    resting.quantity -= traded;
    if (!resting.quantity) this.resting = null;
    let code = OK;
    if (self() == buyer) {
      code = this.bought(price, traded, <u32>seller);
    } else if (self() == seller) {
      this.cash += price * traded;
      this.stock -= traded;
    }
    if (!code && this.trades % LOG_EVERY == 0) code = log(`trade ${this.trades} at ${price}`);
    return code;
  }

  /** The buyer tells the price to all and the quantity to the seller. */
  bought(price: i64, quantity: i64, seller: u32): i32 {
    this.cash -= price * quantity;
    this.stock += quantity;
    const code = publishRetained(PRICE, BYTES, new Writer(8).i64(price));
    return code ? code : sendTo(seller, BYTES, new Writer(16).i64(price).i64(quantity));
  }

  shutdown(): i32 {
    if (metric("cash", this.cash) || metric("stock", this.stock) || metric("trades", this.trades)) return OUTBOX_FULL;
    return log(`cash ${this.cash} stock ${this.stock} trades ${this.trades}`);
  }

  save(state: Writer): i32 {
    state.i64(this.every).i64(this.spread).i64(this.cash).i64(this.stock).i64(this.last);
    state.i64(this.trades).i64(this.settled).i64(this.hub);
    const resting = this.resting;
    if (resting) state.i64(1).i64(resting.agent).i64(resting.side).i64(resting.price).i64(resting.quantity);
    else state.i64(0).i64(0).i64(0).i64(0).i64(0);
    return OK;
  }

  load(state: Reader): i32 {
    if (state.left != STATE_BYTES) return BAD_MESSAGE;
    this.every = state.i64();
    this.spread = state.i64();
    this.cash = state.i64();
    this.stock = state.i64();
    this.last = state.i64();
    this.trades = state.i64();
    this.settled = state.i64();
    this.hub = state.i64();
    const rests = state.i64();
    const resting = new Resting(state.i64(), state.i64(), state.i64(), state.i64());
    this.resting = rests ? resting : null;
    return OK;
  }
}

register(new Market());
