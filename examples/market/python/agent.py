"""A trader, and its own book of orders: everybody sees every order in the same order, so everybody's book is the same.

Configuration: {"cash": 10000, "every": 4, "price": 100, "spread": 5}.
"""

import struct
from dataclasses import dataclass, replace

from tickwork.native import Context, Outbox, Random, read_config
from tickwork.records import DIRECT, OUTSIDE, FrameKind, Message, Refusal

TIME_TO_ORDER = 1
LOG_EVERY = 16
ORDER = struct.Struct("<qqq")
PRICE = struct.Struct("<q")
SETTLEMENT = struct.Struct("<qq")
STATE = struct.Struct("<13q")


@dataclass(frozen=True)
class Trader:
    """What a trader has, and the order that waits in its book. The fields are the saved state, in its order."""

    every: int
    spread: int
    cash: int
    stock: int
    last: int
    trades: int = 0
    settled: int = 0
    hub: int = 0
    has_resting: int = 0
    resting_agent: int = 0
    resting_side: int = 0
    resting_price: int = 0
    resting_quantity: int = 0

    def meets(self, agent: int, side: int, price: int) -> bool:
        """Return whether an order meets the resting one."""
        if not self.has_resting or self.resting_side != -side or self.resting_agent == agent:
            return False
        return price >= self.resting_price if side > 0 else price <= self.resting_price

    def without(self, quantity: int) -> "Trader":
        """Return the state after so much of the resting order was traded."""
        left = self.resting_quantity - quantity
        if left:
            return replace(self, resting_quantity=left)
        nothing = dict.fromkeys(("has_resting", "resting_agent", "resting_side", "resting_price"), 0)
        return replace(self, resting_quantity=0, **nothing)


class Market:
    """The agent."""

    def init(self, config: bytes, context: Context) -> tuple[Trader, Outbox]:
        """Take the settings, and wait for the first time to order."""
        settings, outbox = read_config(config), context.outbox()
        price = whole(settings, "price", 100)
        state = Trader(
            every=whole(settings, "every", 4),
            spread=whole(settings, "spread", 5),
            cash=whole(settings, "cash", 10000),
            stock=100,
            last=price,
        )
        if state.every < 1 or state.spread < 0 or price < 1:
            outbox.refuse(Refusal.BAD_MESSAGE)
        else:
            outbox.timer(1 + context.agent % state.every, TIME_TO_ORDER)
        return state, outbox

    def turn(self, state: Trader, inbox: tuple[Message, ...], context: Context) -> tuple[Trader, Outbox]:
        """Order when it is time, match orders, and note prices and settlements."""
        outbox, random = context.outbox(), context.random()
        for message in inbox:
            kind, where, body = message.kind, message.destination, message.body
            if kind == FrameKind.TIMER_FIRED and where == TIME_TO_ORDER:
                order(state, outbox, random)
            elif kind == FrameKind.MESSAGE and where == 0 and len(body) == ORDER.size:
                if message.source != OUTSIDE:  # Only with an agent can a trade be settled.
                    state = ordered(state, message.source, ORDER.unpack(body), context, outbox)
            elif kind in (FrameKind.MESSAGE, FrameKind.RETAINED) and where == 1 and len(body) == PRICE.size:
                state = replace(state, hub=PRICE.unpack(body)[0])
            elif kind == FrameKind.MESSAGE and where == DIRECT and len(body) == SETTLEMENT.size:
                state = replace(state, settled=state.settled + SETTLEMENT.unpack(body)[1])
        return state, outbox

    def shutdown(self, state: Trader, context: Context) -> tuple[Trader, Outbox]:
        """Say what is left."""
        outbox = context.outbox()
        outbox.metric("cash", state.cash)
        outbox.metric("stock", state.stock)
        outbox.metric("trades", state.trades)
        outbox.log(f"cash {state.cash} stock {state.stock} trades {state.trades}")
        return state, outbox

    def save(self, state: Trader) -> bytes:
        """Return the fields."""
        return STATE.pack(*(getattr(state, name) for name in Trader.__dataclass_fields__))

    def load(self, saved: bytes, context: Context) -> Trader:
        """Take the fields over."""
        return Trader(*STATE.unpack(saved))


def whole(settings: dict[str, object], key: str, otherwise: int) -> int:
    """Return a whole number of the settings, also one written as a text."""
    value = settings.get(key, otherwise)
    if isinstance(value, str) and value.removeprefix("-").isdecimal():
        return int(value)
    return value if isinstance(value, int) else otherwise


def order(state: Trader, outbox: Outbox, random: Random) -> None:
    """Publish an order near the last price, to buy or to sell."""
    side = 1 if random.next() & 1 else -1
    price = max(1, state.last - state.spread + random.below(2 * state.spread + 1))
    outbox.publish("orders", ORDER.pack(side, price, 1 + random.below(10)))
    outbox.timer(state.every, TIME_TO_ORDER)


def ordered(state: Trader, agent: int, given: tuple[int, ...], context: Context, outbox: Outbox) -> Trader:
    """Match an order with the resting one, or let it rest."""
    side, price, quantity = given
    if not state.meets(agent, side, price):
        return replace(
            state, has_resting=1, resting_agent=agent, resting_side=side, resting_price=price, resting_quantity=quantity
        )
    resting, price = state.resting_agent, state.resting_price
    traded = min(quantity, state.resting_quantity)
    buyer, seller = (agent, resting) if side > 0 else (resting, agent)
    state = replace(state.without(traded), trades=state.trades + 1, last=price)
    if context.agent == buyer:
        # The buyer tells the price to all and the quantity to the seller.
        state = replace(state, cash=state.cash - price * traded, stock=state.stock + traded)
        outbox.publish("price", PRICE.pack(price), retain=True)
        outbox.send(seller, SETTLEMENT.pack(price, traded))
    elif context.agent == seller:
        state = replace(state, cash=state.cash + price * traded, stock=state.stock - traded)
    if state.trades % LOG_EVERY == 0:
        outbox.log(f"trade {state.trades} at {price}")
    return state
