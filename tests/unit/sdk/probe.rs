//! Does what it is told, one word at a time, so that a test can look at one call of the SDK.

#![no_std]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::hint::black_box;

use tickwork::{Agent, Config, Encoding, Error, Event, Message, Result, Sleep, Text, Turn, log};

const OUT: u32 = 0;
const BOARD: u32 = 1;

struct Probe {
    number: i64,
    text: String,
    kept: Vec<Vec<u8>>,
}

impl Agent for Probe {
    fn init(turn: &mut Turn, config: &Config) -> Result<Self> {
        turn.log("began")?;
        let text = String::from(config.text("text").unwrap_or("none"));
        Ok(Self { number: config.whole("number", 1), text, kept: Vec::new() })
    }

    fn receive(&mut self, turn: &mut Turn, message: &Message) -> Result {
        match message.event() {
            Event::Direct => self.told(turn, message),
            Event::Refused(refusal) => {
                let text = core::str::from_utf8(refusal.text).unwrap_or_default();
                log!(turn, "{:?} {} {text}", refusal.error, refusal.kind)
            }
            event => log!(turn, "{event:?}"),
        }
    }

    fn step(&mut self, _turn: &mut Turn) -> Result<Sleep> {
        Ok(Sleep::Ticks(5))
    }
}

impl Probe {
    fn told(&mut self, turn: &mut Turn, message: &Message) -> Result {
        let text = message.text()?;
        let (word, count) = text.split_once(' ').unwrap_or((text, "0"));
        let count: usize = count.parse().map_err(|_| Error::BadMessage)?;
        match word {
            "config" => log!(turn, "{} {}", self.number, self.text),
            "panic" => panic!("told to panic, with {count} and ü"),
            "index" => log!(turn, "{}", [1, 2, 3][black_box(count)]),
            "deep" => log!(turn, "{}", deep(count)),
            "fail" => Err(Error::User(-(count as i32))),
            "fill" => fill(turn, count),
            "large" => turn.publish(OUT, Encoding::BYTES, &vec![7; count]),
            "longlog" => log!(turn, "{:>1$}", 'x', count),
            "room" => log!(turn, "{}", turn.room()),
            "reply" => turn.reply(message, Encoding::JSON, b"[]"),
            "keep" => {
                self.kept.push(vec![1; count]);
                log!(turn, "{}", self.kept.iter().map(Vec::len).sum::<usize>())
            }
            "churn" => churn(turn, count),
            "board" => {
                let text = format!("board {count}");
                let region = turn.window_mut(BOARD);
                region[..text.len()].copy_from_slice(text.as_bytes());
                let size = region.len();
                turn.window_write(BOARD, 0, text.len() as u64)?;
                log!(turn, "{size} {} {}", turn.window(0).len(), turn.window(9).len())
            }
            "exit" => turn.exit(),
            "number" => {
                let mut text = Text::<16>::new();
                text.push_fixed(-(count as i64), 2);
                turn.log(text.as_str())
            }
            _ => Err(Error::Unsupported),
        }
    }
}

/// Publishes until nothing fits any more, and says how often that was by failing softly.
fn fill(turn: &mut Turn, bytes: usize) -> Result {
    loop {
        turn.publish(OUT, Encoding::BYTES, &vec![0; bytes])?;
    }
}

#[inline(never)]
fn deep(left: usize) -> usize {
    let frame = black_box([left as u8; 4096]);
    if left == 0 { 0 } else { deep(left - 1) + usize::from(frame[left % 4096]) }
}

/// Takes and gives back memory of many sizes; what is said depends on every byte.
fn churn(turn: &mut Turn, count: usize) -> Result {
    let mut kept: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for number in 0..count {
        kept.entry(number % 17).or_default().push(number);
        if number % 5 == 0 {
            kept.remove(&(number % 13));
        }
    }
    let total: usize = kept.values().flatten().sum();
    log!(turn, "{total}")
}

tickwork::agent!(Probe, allocator, windows = [100, 64], inbox = 8192, outbox = 4096);
