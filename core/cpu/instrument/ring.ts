/**
 * The buffer that instrumented code writes events to, inside the one WebAssembly memory: it takes the upper part of the
 * room for decoded code. A run is short enough that it cannot overflow; afterwards TypeScript takes the events.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { CODE_END } from "../code_cache.ts";

/** Bytes per event. */
export const EVENT_SIZE = 64;
/**
 * Fields of an event, as byte offsets: what it is and its size in bytes (u16 each), the record, the instruction count,
 * RIP; then, for an access: linear address, host offset, two guest page numbers (for data in `SLOW_DATA`), the value; for
 * a branch: the target, RDI, RSI, RDX, RSP.
 */
export const EV = {
  KIND: 0,
  SIZE: 2,
  REC: 4,
  ICOUNT: 8,
  RIP: 16,
  ADDRESS: 24,
  HOST: 32,
  PAGE_A: 36,
  PAGE_B: 40,
  VALUE: 48,
  RDI: 32,
  RSI: 40,
  RDX: 48,
  RSP: 56,
} as const;

/** What an event is. */
export const EventType = { READ: 0, WRITE: 1, INSTRUCTION: 2, BRANCH: 3 } as const;

/** Most events one instruction makes: MASKMOVDQU writes 16 bytes one by one. */
const EVENTS_PER_INSTRUCTION = 20;
/** Most instructions in one run. */
export const SLICE = 4096;

/** Where the events are. */
export const RING: number = L.CODE + 0x00f0_0000;
/** Bytes of it. */
export const RING_BYTES = 0x0080_0000;
/** A 32-bit hash of each instruction's bytes, by record: at `HASHES + ((rec - CODE) >> 1)`. */
export const HASHES: number = RING + RING_BYTES;

if (SLICE * EVENTS_PER_INSTRUCTION * EVENT_SIZE > RING_BYTES || HASHES + (L.CODE_SIZE >> 1) > CODE_END) {
  throw new Error("The buffer for events does not fit its place");
}

/** Control words behind the architectural state: end of the events (i32), instruction count at budget 0 (i64). */
export const RING_AT = 0x810, HORIZON = 0x818;
/** Accesses are told from this linear address on (i64), in this many bytes less one (i64). */
export const FILTER_FROM = 0x820, FILTER_SPAN = 0x828;
/** The same for host offsets, i32 each. */
export const HOST_FROM = 0x830, HOST_SPAN = 0x834;
/** Digest of everything that generated code read, wrote and executed, i64. */
export const DIGEST = 0x838;
