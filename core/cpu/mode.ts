/**
 * The decoding mode: everything about the state that decoded blocks depend on besides their bytes and RIP.
 *
 * @module
 */
import * as L from "../layout.ts";
import { MODE_FLAT, MODE_MMX, MODE_SHIFT, MODE_SSE, MODE_STACK32 } from "./decode/decoder.ts";
import { Attr, type CpuState, Cr0, Cr4, Seg } from "./state.ts";

/** Most (base, limit) pairs of CS that get a number of their own; beyond, decoded code is dropped and numbering restarts. */
const IDS_MAX = 1 << 16;

/** Recomputes the state word `MODE`: the low bits as `decoder.ts` names them, above them a number for CS base and limit. */
export class ModeTracker {
  readonly #ids = new Map<string, number>();
  #lastBase = NaN;
  #lastLimit = -1;
  #lastId = 0;

  /** @param forget drops every decoded block: the numbers are about to be given out again */
  constructor(readonly s: CpuState, readonly forget: () => void) {}

  /** Sets `MODE` from CS, SS, DS, ES, EFER, CR0 and CR4. */
  update(): void {
    const { s } = this, cs = s.segAttr(Seg.CS);
    let mode = 0;
    if (!(s.cr0 & (Cr0.EM | Cr0.TS))) mode = s.cr4 & Cr4.OSFXSR ? MODE_MMX | MODE_SSE : MODE_MMX;
    if (s.longMode && cs & Attr.L) {
      s.i32[L.MODE >> 2] = mode | 2;
      return;
    }
    if (cs & Attr.DB) mode |= 1;
    if (this.#plain(Seg.ES) && this.#plain(Seg.SS) && this.#plain(Seg.DS)) mode |= MODE_FLAT;
    if (s.segAttr(Seg.SS) & Attr.DB) mode |= MODE_STACK32;
    s.i32[L.MODE >> 2] = mode | this.#codeSegment() << MODE_SHIFT;
  }

  /** Base 0, limit 4 GiB, writable, present, expand-up. */
  #plain(seg: number): boolean {
    const { s } = this, attr = s.segAttr(seg);
    const kind = attr & (Attr.UNUSABLE | Attr.P | Attr.CODE | Attr.EXPAND_DOWN | Attr.WRITABLE);
    return kind === (Attr.P | Attr.WRITABLE) && s.segBase(seg) === 0 && s.segLimit(seg) === 0xffff_ffff;
  }

  #codeSegment(): number {
    const { s } = this, base = s.segBase(Seg.CS), limit = s.segLimit(Seg.CS);
    if (base === this.#lastBase && limit === this.#lastLimit) return this.#lastId;
    const key = `${base}:${limit}`;
    let id = this.#ids.get(key);
    if (id === undefined) {
      if (this.#ids.size >= IDS_MAX) {
        this.#ids.clear();
        this.forget();
      }
      id = this.#ids.size + 1;
      this.#ids.set(key, id);
    }
    this.#lastBase = base;
    this.#lastLimit = limit;
    this.#lastId = id;
    return id;
  }
}
