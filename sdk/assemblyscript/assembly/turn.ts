/** What an agent knows of its turn: the tick, its number, and random numbers that are the same on every machine. */

import { context } from "./abi";

/** Returns the tick this turn belongs to. */
export function tick(): u64 {
  return context().tick;
}

/** Returns the number of this agent in the run. */
export function self(): u32 {
  return context().agent;
}

/** Returns this turn's seed, drawn from the run's seed, the agent and the tick. */
export function seed(): u64 {
  return context().seed;
}

/** Returns the instructions this turn may use; the bound at the turn's start, it does not count down. */
export function fuel(): u64 {
  return context().fuel;
}

/** Returns the tick's wall-clock sample in microseconds since 1970, or 0 without the `clock` capability. */
export function wallUs(): u64 {
  return context().wallUs;
}

let streamSeed: u64 = 0;
let streamTick: u64 = 0;
let streamState: u64 = 0;

/**
 * Returns 64 random bits. The stream starts anew with each turn's seed.
 * Source: splitmix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
 */
export function random(): u64 {
  const now = context();
  if (streamSeed != now.seed || streamTick != now.tick) {
    streamSeed = streamState = now.seed;
    streamTick = now.tick;
  }
  streamState += 0x9e3779b97f4a7c15;
  let mixed = streamState;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  return mixed ^ (mixed >> 31);
}

/** Returns a random number from 0 to `bound` - 1, each equally likely; 0 for a bound of 0. */
export function randomBelow(bound: u32): u32 {
  const least: u32 = bound ? (<u32>0 - bound) % bound : 0;
  let product: u64;
  do product = (random() >> 32) * bound;
  while (<u32>product < least);
  return <u32>(product >> 32);
}

/** Returns the largest whole number whose square is not above `value`. */
export function root(value: u64): u32 {
  let found: u64 = 0;
  for (let bit: u64 = 1 << 62; bit; bit >>= 2) {
    if (value >= found + bit) {
      value -= found + bit;
      found = (found >> 1) + bit;
    } else {
      found >>= 1;
    }
  }
  return <u32>found;
}
