/**
 * Opcode lines of the vector extensions (MMX, SSE to SSE4.2), in the notation of `tables.ts`.
 *
 * @module
 */
import type { OpcodeMap } from "./tables.ts";

/** The maps that vector instructions live in. */
export interface VectorMaps {
  secondary: OpcodeMap;
  map38: OpcodeMap;
  map3a: OpcodeMap;
}

/** 0F xx vector opcodes. */
const SECONDARY_SSE: OpcodeMap = {};
/** 0F 38 xx. */
const MAP_38_SSE: OpcodeMap = {};
/** 0F 3A xx. */
const MAP_3A_SSE: OpcodeMap = {};

/** The integer maps with the vector lines put in. */
export function addVectorMaps(m: VectorMaps): VectorMaps {
  return {
    secondary: { ...m.secondary, ...SECONDARY_SSE },
    map38: { ...m.map38, ...MAP_38_SSE },
    map3a: { ...m.map3a, ...MAP_3A_SSE },
  };
}
