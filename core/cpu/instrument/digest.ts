/**
 * An instrumented interpreter that boils everything a processor does down to one number: each instruction with its bytes,
 * each value read and written, what system operations leave in the general registers, each event. Two runs that start in
 * one state and have equal digests have done the same; one that is different has not, or has decoded code at other times.
 *
 * @module
 */
import type { AccessObserver } from "../../mmu/access.ts";
import * as L from "../../layout.ts";
import type { Cpu } from "../cpu.ts";
import type { Interpreter } from "../interp.ts";
import type { EventKind } from "../system/exceptions.ts";
import { PAGE_SIZE } from "../../mmu/physmem.ts";
import { tellingVariant } from "./emit.ts";
import type { Instrument } from "./instrument.ts";
import * as R from "./ring.ts";

const variant = (digest: "all" | "effects") =>
  tellingVariant({ reads: false, writes: false, instructions: false, branches: false, digest });

/** Instructions at once: nothing is buffered. */
const SLICE = 1 << 18;

/** See above. */
export class DigestInstrument implements Instrument, AccessObserver {
  readonly slice = SLICE;
  readonly codeEnd = R.RING;
  readonly #interp: Interpreter;
  /** Digest of what TypeScript does. */
  #a = 0;
  #b = 0;
  /** Bytes written whose values are taken when the next thing happens: address and length. */
  #gpa = 0;
  #length = 0;

  /** @param of what goes into the digest: everything, or everything but what is read */
  constructor(readonly cpu: Cpu, readonly of: "all" | "effects" = "all") {
    this.#interp = cpu.createInterpreter(variant(of));
  }

  /** Begins to look on, with an empty digest. */
  attach(): void {
    this.cpu.setInstrument(this);
    this.cpu.mmu.setObserver(this);
    this.cpu.mmu.mem.onTouch = (page, offset, length) => this.#wrote(page * PAGE_SIZE + offset, length);
    this.reset();
  }

  /** Ends it. */
  detach(): void {
    this.cpu.setInstrument(null);
    this.cpu.mmu.setObserver(null);
    this.cpu.mmu.mem.onTouch = null;
  }

  /** Begins a new digest. */
  reset(): void {
    this.cpu.s.setWords(R.DIGEST, 0, 0);
    this.#a = this.#b = this.#length = 0;
  }

  /** The digest, as text. */
  value(): string {
    this.#settle();
    const { s } = this.cpu;
    return [s.word(R.DIGEST), s.word(R.DIGEST + 4), this.#a >>> 0, this.#b >>> 0].join(":");
  }

  run(rec: number, budget: number): void {
    this.#settle();
    this.#interp.run(rec, budget);
  }

  /** What is executed again is digested again, in both runs. */
  undo(): void {}

  decoded(rec: number, from: Uint8Array, at: number, length: number): void {
    let h = length;
    for (let i = 0; i < length; i++) h = Math.imul(h ^ from[at + i], 0x0100_0193);
    this.cpu.s.i32[(R.HASHES + ((rec - L.CODE) >> 1)) >> 2] = h;
  }

  executed(): void {
    const { i32 } = this.cpu.s;
    for (let w = L.GPR >> 2; w < (L.GPR >> 2) + 32; w++) this.#mix(i32[w]);
    for (const at of [L.RIP, L.RIP + 4, L.FLAGS, L.LF_RES, L.LF_RES + 4, L.LF_AUX, L.CPL]) {
      this.#mix(i32[at >> 2]);
    }
  }

  delivered(vector: number, kind: EventKind, from: number): void {
    const { s } = this.cpu;
    this.#mix(vector ^ kind.length << 8);
    this.#mix(from | 0);
    this.#mix(s.word(L.CR2));
    this.#mix(s.word(L.CR2 + 4));
    this.#mix(this.cpu.counter.icount | 0);
  }

  /** @see AccessObserver.access */
  access(write: boolean, _la: number, gpa: number, size: number): void {
    if (!write && this.of === "effects") return;
    this.#wrote(gpa, size);
    if (!write) this.#settle();
  }

  /** @see AccessObserver.walked */
  walked(gpa: number, size: number): void {
    this.#wrote(gpa, size);
  }

  #wrote(gpa: number, length: number): void {
    this.#settle();
    this.#mix(gpa | 0);
    this.#gpa = gpa;
    this.#length = length;
  }

  #settle(): void {
    const { mem } = this.cpu.mmu;
    for (let i = 0; i < this.#length; i++) this.#mix(mem.read8(this.#gpa + i));
    this.#length = 0;
  }

  #mix(x: number): void {
    const a = Math.imul(this.#a ^ x, 0x85eb_ca6b);
    this.#a = a ^ a >>> 13;
    this.#b = Math.imul((this.#b << 7 | this.#b >>> 25) ^ x, 0xc2b2_ae35);
  }
}
