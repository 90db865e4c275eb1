/** The functions a host calls. An agent's entry file passes them on: `export * from "tickwork-agent/assembly/exports"`. */

import { describe } from "./abi";
import { runInit, runLoad, runReceive, runSave, runShutdown, runStep, runTurn, windowTable } from "./agent";

export function tw_desc(): usize {
  return describe();
}

export function tw_windows(): usize {
  return windowTable();
}

export function tw_turn(_context: usize): i32 {
  return runTurn();
}

export function agent_init(): i32 {
  return runInit();
}

export function agent_receive(message: usize): i32 {
  return runReceive(message);
}

export function agent_step(_context: usize): i32 {
  return runStep();
}

export function agent_shutdown(): i32 {
  return runShutdown();
}

export function agent_save(address: usize, capacity: u32): i32 {
  return runSave(address, capacity);
}

export function agent_load(address: usize, length: u32): i32 {
  return runLoad(address, length);
}
