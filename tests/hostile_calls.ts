/**
 * What hostile guests draw their hypercalls from.
 *
 * @module
 */

/** Numbers of hypercalls (Xen 4.17 xen.h), frequent ones several times. */
export const HYPERCALLS: readonly number[] = [
  ...[7, 12, 12, 12, 13, 15, 17, 18, 20, 20, 21, 24, 24, 26, 29],
  ...[32, 32, 32, 33, 34, 34, 35, 36, 40, 41, 42, 49],
];

/** Sizes, counts and offsets around which checks go wrong. */
export const HOSTILE_SIZES: readonly number[] = [
  ...[0, 1, 2, 3, 4, 7, 8, 16, 63, 64, 127, 511, 512, 1023, 1024],
  ...[4095, 4096, 0x7ff0, 0xffff, 0x10_0000],
];
