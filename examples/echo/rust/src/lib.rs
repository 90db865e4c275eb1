//! Says back what it hears: a message of an agent goes back to that agent, one from outside to the topic of echoes.

#![no_std]

use tickwork::abi::kind;
use tickwork::{Agent, Config, Message, Reader, Result, Save, Turn, Writer};

/// Handles are the places in the lists of agent.toml.
const ECHOES: u32 = 0;

struct Echo {
    count: u64,
}

impl Agent for Echo {
    fn init(_turn: &mut Turn, _config: &Config) -> Result<Self> {
        Ok(Self { count: 0 })
    }

    fn receive(&mut self, turn: &mut Turn, message: &Message) -> Result {
        if message.kind() != kind::MESSAGE {
            return Ok(());
        }
        match message.sender() {
            Some(agent) => turn.send_to(agent, message.encoding(), message.body())?,
            None => turn.publish(ECHOES, message.encoding(), message.body())?,
        }
        self.count += 1;
        Ok(())
    }

    fn shutdown(&mut self, turn: &mut Turn) -> Result {
        turn.metric("echoed", self.count as i64)
    }
}

impl Save for Echo {
    fn save(&self, state: &mut Writer) -> Result {
        state.u64(self.count)?;
        Ok(())
    }

    fn load(state: &mut Reader) -> Result<Self> {
        let loaded = Self { count: state.u64()? };
        state.end()?;
        Ok(loaded)
    }
}

tickwork::agent!(Echo, save, inbox = 16384, outbox = 16384);
