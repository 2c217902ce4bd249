/**
 * The page shared with the guest, and every vCPU's `vcpu_info`: event bits, time, wall clock.
 *
 * Source: Xen 4.17 public headers xen.h, arch-x86/xen.h (layouts for both widths). The layout in use is latched when
 * the guest sets up its hypercall page or its event callback.
 *
 * @module
 */
import type { Json } from "../bus.ts";
import { PAGE_SIZE, type PhysMem } from "../mmu/physmem.ts";
import { XenPage } from "./xenpage.ts";

/** Bytes of one `vcpu_info`, and how many of them the shared page holds. */
export const VCPU_INFO_SIZE = 64, LEGACY_VCPUS = 32;
/** Offset of `vcpu_time_info` inside `vcpu_info`. */
export const TIME_OFFSET = 32;
/** Size of `vcpu_time_info`. */
export const TIME_SIZE = 32;

/** Offsets that differ between the two layouts. */
interface Layout {
  /** Bits per event word. */
  bits: number;
  pending: number;
  mask: number;
  wallclock: number;
  wallclockHigh: number;
  /** evtchn_pending_sel inside vcpu_info. */
  selector: number;
}
const LAYOUT64: Layout = {
  bits: 64,
  pending: 0x800,
  mask: 0xa00,
  wallclock: 0xc00,
  wallclockHigh: 0xc0c,
  selector: 8,
};
const LAYOUT32: Layout = {
  bits: 32,
  pending: 0x800,
  mask: 0x880,
  wallclock: 0x900,
  wallclockHigh: 0x924,
  selector: 4,
};

/** How TSC cycles become nanoseconds: `((cycles << shift) * mul) >> 32`. */
export interface TimeScale {
  mul: number;
  shift: number;
}

/** Scale of a TSC frequency in kHz, normalised as Xen does (multiplier with its top bit in use). */
export function timeScale(khz: number): TimeScale {
  let ticks = khz * 1000, shift = 0;
  while (ticks > 2_000_000_000) {
    ticks = Math.floor(ticks / 2);
    shift--;
  }
  while (ticks <= 1_000_000_000) {
    ticks *= 2;
    shift++;
  }
  return { mul: Number((1_000_000_000n << 32n) / BigInt(ticks)), shift };
}

/** The shared info page of the domain. */
export class SharedInfo {
  readonly page: XenPage;
  /** Guest-physical address of a registered vcpu_info by vCPU; -1: in the shared page (or, from 32 on, nowhere). */
  readonly infoGpa: number[];
  #layout = LAYOUT64;
  readonly #mem: PhysMem;
  /** Stands in for vcpu_info of vCPUs that have none. */
  readonly #dummy: XenPage;

  constructor(mem: PhysMem, vcpus: number) {
    this.#mem = mem;
    this.page = new XenPage(mem);
    this.#dummy = new XenPage(mem);
    this.infoGpa = new Array<number>(vcpus).fill(-1);
  }

  /** True while the 32-bit layout is latched. */
  get is32(): boolean {
    return this.#layout === LAYOUT32;
  }

  /** Event bits per word of the latched layout. */
  get wordBits(): number {
    return this.#layout.bits;
  }

  /** Latches the layout of the caller's width. */
  latch(is64: boolean): void {
    this.#layout = is64 ? LAYOUT64 : LAYOUT32;
  }

  /** True when a vCPU has a vcpu_info of its own (in the shared page or registered). */
  hasInfo(vcpu: number): boolean {
    return vcpu < LEGACY_VCPUS || this.infoGpa[vcpu] >= 0;
  }

  /** Moves a vCPU's info to a guest page, keeping its contents. */
  register(vcpu: number, gpa: number): void {
    const old = new Uint8Array(VCPU_INFO_SIZE);
    if (this.hasInfo(vcpu)) { for (let i = 0; i < old.length; i++) old[i] = this.#info8(vcpu, i); }
    this.infoGpa[vcpu] = gpa;
    this.#mem.write(gpa, old);
  }

  /** True while an event for the vCPU waits for its upcall. */
  upcallPending(vcpu: number): boolean {
    return this.#info8(vcpu, 0) !== 0;
  }

  /** Sets the upcall flag; true when it was set already. */
  setUpcallPending(vcpu: number): boolean {
    const was = this.#info8(vcpu, 0);
    if (was & 1) return true;
    this.#setInfo8(vcpu, 0, was | 1);
    return false;
  }

  /** Sets one selector bit; true when it was set already. */
  setSelector(vcpu: number, bit: number): boolean {
    const o = this.#layout.selector + (bit >>> 3), m = 1 << (bit & 7);
    const was = this.#info8(vcpu, o);
    if (was & m) return true;
    this.#setInfo8(vcpu, o, was | m);
    return false;
  }

  /** Sets every selector bit: whatever may be pending is looked at. */
  setAllSelectors(vcpu: number): void {
    for (let i = 0; i < this.#layout.bits / 8; i++) this.#setInfo8(vcpu, this.#layout.selector + i, 0xff);
  }

  /** True when a port's pending bit is set. */
  isPending(port: number): boolean {
    return this.#bit(this.#layout.pending, port);
  }
  /** Sets a port's pending bit; true when it was set already. */
  setPending(port: number): boolean {
    return this.#change(this.#layout.pending, port, true);
  }
  /** Clears a port's pending bit. */
  clearPending(port: number): void {
    this.#change(this.#layout.pending, port, false);
  }
  /** True when a port is masked. */
  isMasked(port: number): boolean {
    return this.#bit(this.#layout.mask, port);
  }
  /** Clears a port's mask bit; true when it was set. */
  clearMask(port: number): boolean {
    return this.#change(this.#layout.mask, port, false);
  }

  /** Writes the wall clock at virtual time 0, with the version protocol. */
  writeWallclock(seconds: number): void {
    const o = this.#layout.wallclock, version = (this.page.read32(o) + 1 | 1) >>> 0;
    this.page.write32(o, version);
    this.page.write32(o + 4, seconds >>> 0);
    this.page.write32(o + 8, 0);
    this.page.write32(this.#layout.wallclockHigh, Math.floor(seconds / 0x1_0000_0000) >>> 0);
    this.page.write32(o, version + 1 >>> 0);
  }

  /** Writes a vCPU's time record (system time in ns at a TSC value), with the version protocol. Returns its bytes. */
  writeTime(vcpu: number, tsc: number, systemNs: number, scale: TimeScale): Uint8Array {
    const bytes = new Uint8Array(TIME_SIZE), v = new DataView(bytes.buffer);
    let version = 0;
    for (let i = 0; i < 4; i++) version |= this.#info8(vcpu, TIME_OFFSET + i) << i * 8;
    version = (version + 1 | 1) >>> 0;
    v.setUint32(0, version, true);
    v.setUint32(8, tsc >>> 0, true);
    v.setUint32(12, Math.floor(tsc / 0x1_0000_0000), true);
    v.setUint32(16, systemNs >>> 0, true);
    v.setUint32(20, Math.floor(systemNs / 0x1_0000_0000), true);
    v.setUint32(24, scale.mul, true);
    v.setInt8(28, scale.shift);
    // TSC_STABLE: every vCPU's TSC is the one virtual clock.
    v.setUint8(29, 1);
    for (let i = 0; i < TIME_SIZE; i++) this.#setInfo8(vcpu, TIME_OFFSET + i, bytes[i]);
    v.setUint32(0, version + 1 >>> 0, true);
    for (let i = 0; i < 4; i++) this.#setInfo8(vcpu, TIME_OFFSET + i, bytes[i]);
    return bytes;
  }

  save(): Json {
    return { is32: this.is32, page: this.page.save(), dummy: this.#dummy.save(), infoGpa: [...this.infoGpa] };
  }
  load(state: Json): void {
    const s = state as { is32: boolean; page: Json; dummy: Json; infoGpa: number[] };
    this.latch(!s.is32);
    this.page.load(s.page);
    this.#dummy.load(s.dummy);
    s.infoGpa.forEach((gpa, i) => this.infoGpa[i] = gpa);
  }

  #info8(vcpu: number, o: number): number {
    const gpa = this.infoGpa[vcpu];
    if (gpa >= 0) return this.#mem.read8(gpa + o);
    return vcpu < LEGACY_VCPUS ? this.page.read8(vcpu * VCPU_INFO_SIZE + o) : this.#dummy.read8(o);
  }
  #setInfo8(vcpu: number, o: number, value: number): void {
    const gpa = this.infoGpa[vcpu];
    if (gpa >= 0) this.#mem.write8(gpa + o, value);
    else if (vcpu < LEGACY_VCPUS) this.page.write8(vcpu * VCPU_INFO_SIZE + o, value);
    else this.#dummy.write8(o, value);
  }
  #bit(base: number, port: number): boolean {
    if (port >= this.#layout.bits * this.#layout.bits) return false;
    return (this.page.read8(base + (port >>> 3)) >>> (port & 7) & 1) !== 0;
  }
  /** Sets or clears a bit; returns what it was. */
  #change(base: number, port: number, on: boolean): boolean {
    if (port >= this.#layout.bits * this.#layout.bits) return false;
    const o = base + (port >>> 3), m = 1 << (port & 7), was = this.page.read8(o);
    const now = on ? was | m : was & ~m;
    if (now !== was) this.page.write8(o, now);
    return (was & m) !== 0;
  }
}

/** Guest-physical address of a frame number. */
export function gpaOf(gfn: number): number {
  return gfn * PAGE_SIZE;
}
