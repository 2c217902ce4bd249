/**
 * Deterministic PC samples: where the running vCPU is, and who called, by frame pointers.
 *
 * @module
 */
import type { SampleEvent } from "./exits.ts";
import { Gpr } from "./cpu/state.ts";
import * as L from "./layout.ts";
import type { RetrovisorMachine } from "./machine.ts";

/** Most return addresses in a sample. */
const FRAMES_MAX = 32;

/** Takes a sample now. The walk stops at the first frame that is unmapped, unaligned, or not above the last one. */
export function takeSample(m: RetrovisorMachine): SampleEvent {
  const { s, mmu } = m.cpu, wide = s.code64, size = wide ? 8 : 4;
  const stack: bigint[] = [];
  let fp = wide ? s.num(L.GPR + Gpr.BP * 8) : s.lo(Gpr.BP);
  const word = (la: number): bigint | null => {
    const gpa = mmu.tryTranslate(la);
    if (gpa < 0 || m.mem.host(gpa) < 0 || la % size !== 0) return null;
    const lo = BigInt(m.mem.read32(gpa));
    return wide ? lo | BigInt(m.mem.read32(gpa + 4)) << 32n : lo;
  };
  while (stack.length < FRAMES_MAX && fp !== 0) {
    const saved = word(fp), ret = word(fp + size);
    if (saved === null || ret === null || ret === 0n) break;
    stack.push(ret);
    const up = Number(wide ? BigInt.asIntN(64, saved) : saved);
    if (up <= fp) break;
    fp = up;
  }
  return {
    icount: m.clock.icount,
    vcpu: m.vcpus.active,
    ripLo: s.word(L.RIP),
    ripHi: s.word(L.RIP + 4),
    cr3: s.num(L.CR3),
    cpl: s.cpl,
    stack,
  };
}
