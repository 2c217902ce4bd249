/**
 * The opcode maps, parsed once, and the entries that no opcode selects alone.
 *
 * @module
 */
import { type Entry, type ParsedSpec, parseEntry, parseMap } from "./entry.ts";
import { ARPL, MAP_38, MAP_3A, MOVSXD, NOP, PAUSE, PRIMARY, SECONDARY } from "./tables.ts";
import { addVectorMaps } from "./tables_sse.ts";

const entry = (line: string): Entry => parseEntry(line)!;

const MAPS = addVectorMaps({ secondary: SECONDARY, map38: MAP_38, map3a: MAP_3A });
/** One-byte, 0F, 0F 38 and 0F 3A opcodes, parsed. */
export const primary: ParsedSpec[] = parseMap(PRIMARY), secondary: ParsedSpec[] = parseMap(MAPS.secondary);
/** @see primary */
export const map38: ParsedSpec[] = parseMap(MAPS.map38), map3a: ParsedSpec[] = parseMap(MAPS.map3a);
/** Entries the decoder chooses by itself: opcode 63, NOP and PAUSE, whatever is undefined. */
export const movsxd: Entry = entry(MOVSXD),
  arpl: Entry = entry(ARPL),
  nop: Entry = entry(NOP),
  pause: Entry = entry(PAUSE);
/** @see movsxd */
export const undefinedEntry: Entry = entry("@ud");
/** The 64-bit forms of DIV and IDIV, CMPXCHG16B. */
export const div64: Entry = entry("div64 Ev ;sys=div64"), idiv64: Entry = entry("idiv64 Ev ;sys=idiv64");
/** @see div64 */
export const cmpxchg16b: Entry = entry("cmpxchg16b M ;lock cpu=cx16 sys=cmpxchg16b");
/** What a vector instruction becomes while the control registers forbid it. */
export const sseOff: Entry = entry("@vector_off ;imm1"), mmxOff: Entry = entry("@vector_off ;imm0");
/** Entries outside the maps. */
export const extras: Entry[] = [movsxd, arpl, nop, pause, undefinedEntry, div64, idiv64, cmpxchg16b];
