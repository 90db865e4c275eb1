/**
 * Everything an agent in AssemblyScript needs.
 *
 *     import { Agent, BYTES, Frame, register, reply } from "tickwork-agent/assembly";
 *     export * from "tickwork-agent/assembly/exports";
 *
 *     class Hello extends Agent {
 *       receive(message: Frame): i32 {
 *         return reply(message, BYTES, "hello");
 *       }
 *     }
 *     register(new Hello());
 *
 * What holds:
 *   - The host writes context and inbox before a call and reads the outbox after it, never during one. Nothing here calls the
 *     host; a thrown error ends the turn as a trap that carries message, file and line.
 *   - A frame of the inbox is valid until the function it was given to returns. Copy what has to be kept.
 *   - A negative return code other than OUTBOX_FULL undoes the whole turn: memory, globals and outbox.
 *   - Handles are indices into the lists of names in agent.toml (publish, subscribe, send, skills, ...), in their order.
 *   - Time is the tick, randomness is random(). Both are the same on every machine.
 *   - Memory is freed at the end of a turn and at no other time.
 */
export * from "./abi";
export * from "./agent";
export * from "./reading";
export * from "./tensors";
export * from "./turn";
export * from "./writing";
