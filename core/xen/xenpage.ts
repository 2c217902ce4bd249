/**
 * Pages that belong to Xen (shared info, grant table frames): they exist whether or not the guest has them in its
 * physical map, and appear in it at most once.
 *
 * Source: Xen 4.17 memory.h (XENMEM_add_to_physmap). While a page is mapped its bytes are the guest's memory; while
 * it is not, they are kept here.
 *
 * @module
 */
import type { Json } from "../bus.ts";
import { PAGE_SIZE, type PhysMem } from "../mmu/physmem.ts";

/** One page of Xen's. */
export class XenPage {
  /** Guest frame at which it is mapped; -1 when it is not. */
  gfn = -1;
  #spare = new Uint8Array(PAGE_SIZE);
  #view = new DataView(this.#spare.buffer);

  constructor(readonly mem: PhysMem) {}

  /** Puts the page at a guest frame whose former contents are already gone. Throws RangeError when memory is used up. */
  attach(gfn: number): void {
    const bytes = this.bytes();
    const old = this.gfn;
    this.mem.map(gfn * PAGE_SIZE, PAGE_SIZE);
    this.mem.write(gfn * PAGE_SIZE, bytes);
    if (old >= 0 && old !== gfn) this.mem.unmap(old * PAGE_SIZE);
    this.gfn = gfn;
  }

  /** Takes the page out of the guest's physical map; its contents stay. */
  detach(): void {
    if (this.gfn < 0) return;
    this.#spare.set(this.bytes());
    this.mem.unmap(this.gfn * PAGE_SIZE);
    this.gfn = -1;
  }

  /** Copy of the contents. */
  bytes(): Uint8Array {
    return this.gfn >= 0 ? this.mem.read(this.gfn * PAGE_SIZE, PAGE_SIZE) : this.#spare.slice();
  }

  read8(o: number): number {
    return this.gfn >= 0 ? this.mem.read8(this.gfn * PAGE_SIZE + o) : this.#spare[o];
  }
  read16(o: number): number {
    return this.gfn >= 0 ? this.mem.read16(this.gfn * PAGE_SIZE + o) : this.#view.getUint16(o, true);
  }
  read32(o: number): number {
    return this.gfn >= 0 ? this.mem.read32(this.gfn * PAGE_SIZE + o) : this.#view.getUint32(o, true);
  }
  write8(o: number, v: number): void {
    if (this.gfn >= 0) this.mem.write8(this.gfn * PAGE_SIZE + o, v);
    else this.#spare[o] = v;
  }
  write16(o: number, v: number): void {
    if (this.gfn >= 0) this.mem.write16(this.gfn * PAGE_SIZE + o, v);
    else this.#view.setUint16(o, v, true);
  }
  write32(o: number, v: number): void {
    if (this.gfn >= 0) this.mem.write32(this.gfn * PAGE_SIZE + o, v);
    else this.#view.setUint32(o, v, true);
  }
  /** Fills the page with zeros. */
  clear(): void {
    if (this.gfn >= 0) this.mem.write(this.gfn * PAGE_SIZE, new Uint8Array(PAGE_SIZE));
    else this.#spare.fill(0);
  }

  /** Where it is, and its contents while the guest's memory does not hold them. */
  save(): Json {
    return { gfn: this.gfn, spare: this.gfn >= 0 ? "" : hex(this.#spare) };
  }

  /** Restores what `save` gave; the guest's memory is restored by others. */
  load(state: Json): void {
    const s = state as { gfn: number; spare: string };
    this.gfn = s.gfn;
    this.#spare.fill(0);
    if (s.gfn < 0) this.#spare.set(unhex(s.spare, PAGE_SIZE));
  }
}

/** Bytes as hexadecimal text with trailing zeros left out: canonical, and short for mostly empty pages. */
export function hex(bytes: Uint8Array): string {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return bytes.subarray(0, end).toHex();
}

/** Reverses `hex`; bytes that were left out are zero. */
export function unhex(text: string, length: number): Uint8Array {
  const out = new Uint8Array(length);
  out.set(Uint8Array.fromHex(text.slice(0, length * 2)));
  return out;
}
