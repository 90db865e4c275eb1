//! Makes every call of the SDK once, one in each step, so that the SDKs of all languages can be compared byte for byte.

#![no_std]

use tickwork::abi::RAW;
use tickwork::{Agent, Config, Encoding, Message, Reader, Result, Save, Sleep, Turn, Writer};

/// Every list of agent.toml holds one name.
const ONLY: u32 = 0;

const CALLS: u64 = 17;
const USER_KIND: u16 = 0x8001;

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

struct Tour {
    steps: u64,
    count: u64,
    hash: u64,
}

impl Tour {
    fn add(&mut self, bytes: &[u8]) {
        self.hash = bytes.iter().fold(self.hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    }

    fn call(&self, turn: &mut Turn, number: u64) -> Result {
        match number {
            0 => turn.send(ONLY, Encoding::BYTES, b"hello"),
            1 => turn.publish(ONLY, Encoding::JSON, br#"{"n":1}"#),
            2 => turn.publish_retained(ONLY, Encoding::BYTES, b"kept"),
            3 => turn.leave(ONLY),
            4 => turn.join(ONLY),
            5 => turn.timer(7, 2),
            6 => turn.task(ONLY, 1, 5, &[], b"one"),
            7 => turn.task(ONLY, 2, 0, &[1], b"two"),
            8 => turn.call(ONLY, Encoding::MSGPACK, b"\x93\x01\x02\x03"),
            9 => turn.infer(ONLY, Encoding::BYTES, b"ask"),
            10 => {
                turn.window_mut(ONLY)[..9].copy_from_slice(b"window 10");
                turn.window_write(ONLY, 0, 9)
            }
            11 => turn.log("tour 11"),
            12 => turn.metric("tour", 12),
            13 => turn.spawn(ONLY, Encoding::JSON, br#"{"k":1}"#),
            14 => turn.write(USER_KIND, Encoding::BYTES, RAW | turn.me(), b"user"),
            15 => {
                let drawn = turn.random_below(1000);
                turn.metric("random", drawn.into())
            }
            16 => {
                turn.metric("count", self.count as i64)?;
                turn.metric("hash", self.hash as i64)
            }
            _ => Ok(()),
        }
    }
}

impl Agent for Tour {
    fn init(_turn: &mut Turn, _config: &Config) -> Result<Self> {
        Ok(Self { steps: 0, count: 0, hash: FNV_START })
    }

    fn receive(&mut self, _turn: &mut Turn, message: &Message) -> Result {
        self.count += 1;
        self.add(&message.kind().to_le_bytes());
        self.add(&message.encoding().0.to_le_bytes());
        self.add(&message.destination().to_le_bytes());
        self.add(message.body());
        Ok(())
    }

    fn step(&mut self, turn: &mut Turn) -> Result<Sleep> {
        if self.steps >= CALLS {
            return Ok(Sleep::UntilMessage);
        }
        let number = self.steps;
        self.steps += 1;
        self.call(turn, number)?;
        Ok(Sleep::NextTick)
    }
}

impl Save for Tour {
    fn save(&self, state: &mut Writer) -> Result {
        state.u64(self.steps)?.u64(self.count)?.u64(self.hash)?;
        Ok(())
    }

    fn load(state: &mut Reader) -> Result<Self> {
        let loaded = Self { steps: state.u64()?, count: state.u64()?, hash: state.u64()? };
        state.end()?;
        Ok(loaded)
    }
}

tickwork::agent!(Tour, save, windows = [1024], inbox = 16384, outbox = 16384);
