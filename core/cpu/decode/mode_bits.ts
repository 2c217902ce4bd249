/**
 * Bits of the decoding mode word.
 *
 * @module
 */

/**
 * Bits 0-1 code size (0: 16, 1: 32, 2: 64), bit 2 flat data segments, bit 3 32-bit stack, bit 4 SSE and bit 5 MMX and x87
 * instructions may execute (CR0.EM, CR0.TS, CR4.OSFXSR). Above them a number for the code segment.
 */
export const MODE_FLAT = 4, MODE_STACK32 = 8, MODE_SSE = 16, MODE_MMX = 32, MODE_SHIFT = 6;
