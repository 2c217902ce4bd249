/**
 * Finds the sequences of `fuse.ts` in decoded blocks.
 *
 * @module
 */
import type { FusedNode } from "./fuse.ts";
import { REC, REC_SIZE } from "./insn.ts";

/** Gives runs of instructions that have a handler together that handler, the longest that fits first. */
export function fuseBlock(v: DataView, fused: FusedNode["next"], first: number, count: number): void {
  const end = first + count * REC_SIZE;
  for (let rec = first; rec < end;) {
    let node = fused.get(v.getUint16(rec + REC.FORM, true)), handler = -1, after = rec + REC_SIZE;
    for (let at = after; node !== undefined && at < end;) {
      node = node.next.get(v.getUint16(at + REC.FORM, true));
      at += REC_SIZE;
      if (node === undefined || node.handler < 0) continue;
      handler = node.handler;
      after = at;
    }
    if (handler >= 0) v.setUint16(rec + REC.HANDLER, handler, true);
    rec = after;
  }
}

/** Handler for loops of a block that is one sequence as a whole; -1: it is not. */
export function loopHandler(v: DataView, fused: FusedNode["next"], first: number, count: number): number {
  let next: FusedNode["next"] | undefined = fused, node: FusedNode | undefined;
  for (let i = 0; i < count; i++) {
    node = next.get(v.getUint16(first + i * REC_SIZE + REC.FORM, true));
    if (node === undefined) return -1;
    next = node.next;
  }
  return node?.loop ?? -1;
}
