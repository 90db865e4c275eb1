//! A trader, and its own book of orders: everybody sees every order in the same order, so everybody's book is the same.
//!
//! Configuration: `{"cash": 10000, "every": 4, "price": 100, "spread": 5}`.

#![no_std]

use tickwork::{Agent, Config, Encoding, Error, Event, Message, Reader, Result, Save, Turn, Writer, log};

/// Handles are the places in the lists of agent.toml.
const ORDERS: u32 = 0;
const PRICE: u32 = 1;

const TIME_TO_ORDER: u32 = 1;
const LOG_EVERY: i64 = 16;

struct Market {
    every: i64,
    spread: i64,
    cash: i64,
    stock: i64,
    last: i64,
    trades: i64,
    settled: i64,
    hub: i64,
    /// Waits in the book until the opposite side meets it.
    resting: Option<Order>,
}

#[derive(Clone, Copy)]
struct Order {
    agent: u32,
    /// 1 to buy, -1 to sell.
    side: i64,
    price: i64,
    quantity: i64,
}

impl Order {
    /// Returns whether this order trades with the one that rests.
    fn meets(&self, resting: &Self) -> bool {
        let prices_meet = if self.side > 0 { self.price >= resting.price } else { self.price <= resting.price };
        resting.side == -self.side && resting.agent != self.agent && prices_meet
    }
}

impl Agent for Market {
    fn init(turn: &mut Turn, config: &Config) -> Result<Self> {
        let price = config.whole("price", 100);
        let market = Self {
            every: config.whole("every", 4),
            spread: config.whole("spread", 5),
            cash: config.whole("cash", 10000),
            stock: 100,
            last: price,
            trades: 0,
            settled: 0,
            hub: 0,
            resting: None,
        };
        if market.every < 1 || market.spread < 0 || price < 1 {
            return Err(Error::BadMessage);
        }
        turn.timer(TIME_TO_ORDER, 1 + u64::from(turn.me()) % market.every as u64)?;
        Ok(market)
    }

    fn receive(&mut self, turn: &mut Turn, message: &Message) -> Result {
        let mut body = Reader::new(message.body());
        match (message.event(), message.body().len()) {
            (Event::Timer(TIME_TO_ORDER), _) => self.order(turn),
            // Only with an agent can a trade be settled.
            (Event::Topic(ORDERS), 24) if message.sender().is_some() => {
                let (side, price, quantity) = (body.i64()?, body.i64()?, body.i64()?);
                self.ordered(turn, Order { agent: message.source(), side, price, quantity })
            }
            (Event::Topic(PRICE) | Event::Retained(PRICE), 8) => {
                self.hub = body.i64()?;
                Ok(())
            }
            (Event::Direct, 16) => {
                body.i64()?;
                self.settled += body.i64()?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn shutdown(&mut self, turn: &mut Turn) -> Result {
        turn.metric("cash", self.cash)?;
        turn.metric("stock", self.stock)?;
        turn.metric("trades", self.trades)?;
        log!(turn, "cash {} stock {} trades {}", self.cash, self.stock, self.trades)
    }
}

impl Market {
    /// Publishes an order near the last price, to buy or to sell.
    fn order(&mut self, turn: &mut Turn) -> Result {
        let side = if turn.random() & 1 == 1 { 1 } else { -1 };
        let near = self.last - self.spread + i64::from(turn.random_below((2 * self.spread + 1) as u32));
        let quantity = 1 + i64::from(turn.random_below(10));
        publish(turn, [side, near.max(1), quantity])?;
        turn.timer(TIME_TO_ORDER, self.every as u64)
    }

    fn ordered(&mut self, turn: &mut Turn, order: Order) -> Result {
        match self.resting {
            Some(resting) if order.meets(&resting) => self.trade(turn, order, resting),
            _ => {
                self.resting = Some(order);
                Ok(())
            }
        }
    }

    fn trade(&mut self, turn: &mut Turn, order: Order, resting: Order) -> Result {
        let (price, traded) = (resting.price, order.quantity.min(resting.quantity));
        let (buyer, seller) = if order.side > 0 { (order.agent, resting.agent) } else { (resting.agent, order.agent) };
        self.trades += 1;
        self.last = price;
        let left = resting.quantity - traded;
        self.resting = (left != 0).then_some(Order { quantity: left, ..resting });
        if turn.me() == buyer {
            self.cash -= price * traded;
            self.stock += traded;
            // The buyer tells the price to all and the quantity to the seller.
            turn.publish_retained(PRICE, Encoding::BYTES, &price.to_le_bytes())?;
            turn.send_to(seller, Encoding::BYTES, [price, traded].map(i64::to_le_bytes).as_flattened())?;
        } else if turn.me() == seller {
            self.cash += price * traded;
            self.stock -= traded;
        }
        if self.trades % LOG_EVERY == 0 {
            log!(turn, "trade {} at {price}", self.trades)?;
        }
        Ok(())
    }
}

fn publish(turn: &mut Turn, order: [i64; 3]) -> Result {
    turn.publish(ORDERS, Encoding::BYTES, order.map(i64::to_le_bytes).as_flattened())
}

impl Save for Market {
    fn save(&self, state: &mut Writer) -> Result {
        for number in [self.every, self.spread, self.cash, self.stock, self.last, self.trades, self.settled, self.hub] {
            state.i64(number)?;
        }
        let nothing = Order { agent: 0, side: 0, price: 0, quantity: 0 };
        let resting = self.resting.unwrap_or(nothing);
        state.i64(self.resting.is_some().into())?.i64(resting.agent.into())?;
        state.i64(resting.side)?.i64(resting.price)?.i64(resting.quantity)?;
        Ok(())
    }

    fn load(state: &mut Reader) -> Result<Self> {
        let loaded = Self {
            every: state.i64()?,
            spread: state.i64()?,
            cash: state.i64()?,
            stock: state.i64()?,
            last: state.i64()?,
            trades: state.i64()?,
            settled: state.i64()?,
            hub: state.i64()?,
            resting: match state.i64()? {
                0 => {
                    state.bytes(32)?;
                    None
                }
                _ => Some(Order {
                    agent: state.i64()? as u32,
                    side: state.i64()?,
                    price: state.i64()?,
                    quantity: state.i64()?,
                }),
            },
        };
        state.end()?;
        Ok(loaded)
    }
}

tickwork::agent!(Market, save, inbox = 16384, outbox = 16384);
