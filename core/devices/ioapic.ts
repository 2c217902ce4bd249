/**
 * I/O APIC: 24 interrupt inputs at 0xfec00000.
 *
 * Source: Intel 82093AA data sheet (order 290566), and the ICH family's EOI register at offset 0x40 (version 0x20).
 * Polarity bits are kept but do nothing: a line's `level` here means "asserted".
 *
 * @module
 */
import type { DeviceHost, Json, MmioHandler, Snapshottable } from "../bus.ts";
import type { ApicBus } from "./apic_bus.ts";
import { type ApicMessage, Delivery } from "./lapic_defs.ts";
import { StateReader, wordsToHex } from "./state.ts";

/** Guest-physical address of the register page. */
export const IOAPIC_BASE = 0xfec0_0000;
/** Number of inputs. */
export const IOAPIC_PINS = 24;

/** Bits of the low word of a redirection entry. */
const LOGICAL = 0x800, REMOTE_IRR = 0x4000, LEVEL = 0x8000, MASKED = 0x10000;
/** Writable bits of the low word: all but delivery status and remote IRR. */
const WRITABLE = 0x1afff;

/** An I/O APIC whose messages go to an `ApicBus`. */
export class IoApic implements MmioHandler, Snapshottable {
  readonly name = "ioapic";
  readonly #host: DeviceHost;
  readonly #bus: ApicBus;
  readonly #low = new Uint32Array(IOAPIC_PINS).fill(MASKED);
  readonly #high = new Uint32Array(IOAPIC_PINS);
  #lines = 0;
  #select = 0;
  #id = 0;

  constructor(host: DeviceHost, bus: ApicBus) {
    this.#host = host;
    this.#bus = bus;
    host.mmio(IOAPIC_BASE, 4096, this);
    host.snapshot(this);
    bus.onEoi.push((vector) => this.#eoi(vector));
  }

  /** Level of an input pin. Edges on a masked pin are lost; an asserted level waits. */
  setPin(pin: number, level: boolean): void {
    if (pin < 0 || pin >= IOAPIC_PINS) return;
    const bit = 1 << pin, was = (this.#lines & bit) !== 0;
    if (level === was) return;
    this.#lines ^= bit;
    if (!level) return;
    const entry = this.#low[pin];
    if ((entry & MASKED) === 0) this.#deliver(pin);
  }

  /** The pin's entry is unmasked and in ExtINT mode: the 8259 pair's vector goes to this APIC ID; -1 when it is not. */
  extIntDestination(pin: number): number {
    return (this.#low[pin] & (MASKED | 0x700)) === 0x700 ? this.#high[pin] >>> 24 : -1;
  }

  /** An unmasked entry sends NMIs or INITs. */
  get sendsUnasked(): boolean {
    return this.#low.some((e) => {
      const mode = e >> 8 & 7;
      return (e & MASKED) === 0 && (mode === Delivery.NMI || mode === Delivery.INIT);
    });
  }

  #deliver(pin: number): void {
    const entry = this.#low[pin], mode = entry >> 8 & 7;
    if (mode === Delivery.EXTINT) return;
    // NMI, SMI and INIT are edges whatever the trigger bit says.
    const level = (entry & LEVEL) !== 0 && mode <= Delivery.LOWEST;
    if (level && (entry & REMOTE_IRR) !== 0) return;
    const message: ApicMessage = {
      mode,
      vector: entry & 0xff,
      level,
      logical: (entry & LOGICAL) !== 0,
      dest: this.#high[pin] >>> 24,
      dest8: true,
      source: "ioapic",
    };
    if (this.#bus.deliver(message) && level) this.#low[pin] |= REMOTE_IRR;
  }

  /** A local APIC ended `vector`: entries that wait for it may deliver again if their line is still asserted. */
  #eoi(vector: number): void {
    for (let pin = 0; pin < IOAPIC_PINS; pin++) {
      const entry = this.#low[pin];
      if ((entry & 0xff) !== vector || (entry & LEVEL) === 0 || (entry & REMOTE_IRR) === 0) continue;
      this.#low[pin] &= ~REMOTE_IRR;
      this.#serveLevel(pin);
    }
  }

  #serveLevel(pin: number): void {
    if ((this.#lines & 1 << pin) !== 0 && (this.#low[pin] & (LEVEL | MASKED)) === LEVEL) this.#deliver(pin);
  }

  read(gpa: number, size: number): number {
    const offset = gpa & 0xfff;
    let v = 0;
    if ((offset & 0xffc) === 0) v = this.#select;
    else if ((offset & 0xffc) === 0x10) v = this.#readRegister();
    v = v >>> (offset & 3) * 8;
    return size === 4 ? v : v & (size === 2 ? 0xffff : 0xff);
  }

  #readRegister(): number {
    const r = this.#select;
    if (r === 0 || r === 2) return this.#id << 24 >>> 0; // identification, arbitration
    if (r === 1) return (IOAPIC_PINS - 1) << 16 | 0x20;
    const pin = r - 0x10 >> 1;
    if (r < 0x10 || pin >= IOAPIC_PINS) return 0;
    return (r & 1) !== 0 ? this.#high[pin] : this.#low[pin];
  }

  write(gpa: number, _size: number, value: number): void {
    const offset = gpa & 0xfff;
    if (offset === 0) this.#select = value & 0xff;
    else if (offset === 0x10) this.#writeRegister(value >>> 0);
    else if (offset === 0x40) this.#eoi(value & 0xff);
  }

  #writeRegister(value: number): void {
    const r = this.#select, pin = r - 0x10 >> 1;
    if (r === 0) this.#id = value >>> 24 & 15;
    if (r < 0x10 || pin >= IOAPIC_PINS) return;
    if ((r & 1) !== 0) {
      this.#high[pin] = value & 0xff00_0000;
    } else {
      let entry = value & WRITABLE | this.#low[pin] & REMOTE_IRR;
      // Switching an entry to edge mode clears its remote IRR (Linux's EOI for parts without the EOI register).
      if ((entry & LEVEL) === 0) entry &= ~REMOTE_IRR;
      this.#low[pin] = entry;
      this.#serveLevel(pin);
    }
    if (pin === 0) this.#host.interruptsChanged(); // the 8259's way in may have changed
  }

  save(): Json {
    return {
      low: wordsToHex(this.#low),
      high: wordsToHex(this.#high),
      lines: this.#lines,
      select: this.#select,
      id: this.#id,
    };
  }

  load(state: Json): void {
    const r = new StateReader(this.name, state);
    r.words("low", this.#low);
    r.words("high", this.#high);
    this.#lines = r.num("lines");
    this.#select = r.num("select");
    this.#id = r.num("id");
  }
}
