//! A starter: counts the messages it gets, answers each with the count, and tells the total once a day of ticks.
//!
//! Configuration: `{"every": 24}`.

#![no_std]

use tickwork::{Agent, Config, Encoding, Error, Event, Message, Reader, Result, Save, Sleep, Text, Turn, Writer};

/// Handles are the places in the lists of agent.toml.
const ON_TOTALS: u32 = 0;

struct Counter {
    every: u64,
    total: u64,
}

impl Agent for Counter {
    /// Once, with the configuration. An error refuses it.
    fn init(_turn: &mut Turn, config: &Config) -> Result<Self> {
        let every = u64::try_from(config.whole("every", 24)).map_err(|_| Error::BadMessage)?;
        if every == 0 {
            return Err(Error::BadMessage);
        }
        Ok(Self { every, total: 0 })
    }

    /// Each message, in order.
    fn receive(&mut self, turn: &mut Turn, message: &Message) -> Result {
        let (Event::Direct | Event::Topic(_)) = message.event() else { return Ok(()) };
        self.total += 1;
        let mut answer = Text::<32>::new();
        answer.push_whole(self.total as i64);
        match turn.reply(message, Encoding::BYTES, answer.as_str().as_bytes()) {
            // What came from outside has nobody to answer.
            Err(Error::NotFound) => Ok(()),
            result => result,
        }
    }

    /// After the messages. The result says when to run again; a message wakes it earlier.
    fn step(&mut self, turn: &mut Turn) -> Result<Sleep> {
        let since = turn.tick() % self.every;
        if since == 0 {
            turn.publish(ON_TOTALS, Encoding::BYTES, &self.total.to_le_bytes())?;
        }
        Ok(Sleep::Ticks((self.every - since - 1) as u32))
    }

    /// The last turn; what it leaves in the outbox still counts.
    fn shutdown(&mut self, turn: &mut Turn) -> Result {
        turn.metric("total", self.total as i64)
    }
}

/// The state, for the next version of this agent.
impl Save for Counter {
    fn save(&self, state: &mut Writer) -> Result {
        state.u64(self.every)?.u64(self.total)?;
        Ok(())
    }

    /// Takes a state in a new instance, in place of init.
    fn load(state: &mut Reader) -> Result<Self> {
        let loaded = Self { every: state.u64()?, total: state.u64()? };
        state.end()?;
        Ok(loaded)
    }
}

tickwork::agent!(Counter, save);
