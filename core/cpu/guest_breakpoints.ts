/**
 * The data and I/O breakpoints of the guest's own debug registers (Intel SDM volume 3, 17.2.4 and 17.2.5): DR7.R/W = 1
 * (writes), 3 (reads and writes), and with CR4.DE 2 (ports). What hits is noted while an instruction runs; the
 * processor raises #DB as a trap behind it.
 *
 * Watched pages take the slow paths, as a debugger's do (`core/mmu/watch.ts`): elsewhere nothing is slower.
 *
 * @module
 */
import * as L from "../layout.ts";
import type { Watch } from "../mmu/access.ts";
import type { Mmu } from "../mmu/mmu.ts";
import { PAGE_SIZE } from "../mmu/physmem.ts";
import type { Insn } from "./insn.ts";
import { type CpuState, Cr4, Gpr } from "./state.ts";
import { SYS_OPS } from "./system/ops.ts";

const DR7 = (L.DR + 56) >> 2;
/** DR7.R/W of a breakpoint. */
const Kind = { EXECUTE: 0, WRITE: 1, PORT: 2, ACCESS: 3 } as const;
/** Bytes by DR7.LEN; 2 is eight bytes. */
const LENGTH = [1, 2, 8, 4];

const PORT_IN_IMMEDIATE = new Set([SYS_OPS.indexOf("in_imm"), SYS_OPS.indexOf("out_imm")]);
const PORT_IN_DX = new Set((["in_dx", "out_dx", "ins", "outs"] as const).map((n) => SYS_OPS.indexOf(n)));

/** One enabled breakpoint on data or ports. */
interface Point {
  bit: number;
  kind: number;
  /** First linear address or port, aligned to the length. */
  from: number;
  length: number;
}

/** The breakpoints of one processor's active state. */
export class GuestBreakpoints implements Watch {
  readonly pages: Set<number> = new Set();
  readonly frames: ReadonlySet<number> = new Set();
  pass = false;
  /** Bits of DR6 that the instruction in hand has hit. */
  hits = 0;
  /** Instructions must be run one by one: an instruction breakpoint is enabled. */
  steps = false;
  #points: Point[] = [];
  #ports: Point[] = [];
  /** DR7 and DR0 to DR3 of which the above was made. */
  readonly #made = new Uint32Array(9);

  constructor(readonly s: CpuState, readonly mmu: Mmu) {}

  /** Debug registers may have changed. */
  refresh(): void {
    const { u32 } = this.s, made = this.#made;
    if (((u32[DR7] | made[8]) & 0xff) === 0) return;
    let same = u32[DR7] === made[8];
    for (let n = 0; n < 8; n++) same &&= made[n] === u32[(L.DR >> 2) + n];
    if (same) return;
    for (let n = 0; n < 8; n++) made[n] = u32[(L.DR >> 2) + n];
    this.#make(made[8] = u32[DR7]);
  }

  #make(dr7: number): void {
    const before = this.#points.length;
    this.#points = [];
    this.#ports = [];
    this.pages.clear();
    this.steps = false;
    this.hits = 0;
    for (let n = 0; n < 4; n++) {
      if (!(dr7 >>> (n * 2) & 3)) continue;
      const kind = dr7 >>> (16 + n * 4) & 3, length = LENGTH[dr7 >>> (18 + n * 4) & 3];
      const address = this.s.num(L.DR + n * 8), from = Math.floor(address / length) * length;
      const point = { bit: 1 << n, kind, from, length };
      if (kind === Kind.EXECUTE) this.steps = true;
      else if (kind === Kind.PORT) this.#ports.push(point);
      else {
        this.#points.push(point);
        this.pages.add(Math.floor(from / PAGE_SIZE));
      }
    }
    if (before + this.#points.length > 0) this.mmu.setGuestWatch(this.#points.length > 0 ? this : null);
  }

  concerns(la: number, _gpa: number, size: number, write: boolean): boolean {
    return this.#hit(this.#points, la, size, write) !== 0;
  }

  note(la: number, _gpa: number, size: number, write: boolean): void {
    this.hits |= this.#hit(this.#points, la, size, write);
  }

  #hit(points: Point[], at: number, size: number, write: boolean): number {
    let bits = 0;
    for (const p of points) {
      if (at < p.from + p.length && at + size > p.from && (write || p.kind !== Kind.WRITE)) bits |= p.bit;
    }
    return bits;
  }

  /** A system operation has been executed: notes the port that it accessed. */
  executed(op: number, i: Insn): void {
    if (this.#ports.length === 0 || !(this.s.cr4 & Cr4.DE)) return;
    const immediate = PORT_IN_IMMEDIATE.has(op);
    if (!immediate && !PORT_IN_DX.has(op)) return;
    const port = immediate ? i.imm & 0xff : this.s.lo(Gpr.DX) & 0xffff;
    this.hits |= this.#hit(this.#ports, port, Math.min(i.opsize, 4), true);
  }
}
