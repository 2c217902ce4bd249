/**
 * MC146818 real-time clock and CMOS memory at ports 0x70/0x71, interrupt on IRQ 8.
 *
 * Source: Motorola MC146818A data sheet. Time is not counted: the registers are computed from virtual time and the
 * wall clock, for which the machine is asked once, when the guest first needs it. The clock's seconds change at
 * whole virtual seconds (moved by the divider reset); UIP is set for the 2.228 ms before.
 *
 * @module
 */
import type { DeviceHost, Json, PortHandler, Snapshottable } from "../bus.ts";
import type { Timer } from "../clock.ts";
import { Rate } from "./rate.ts";
import { encode, nextAlarm, registersToTime, RTC_CENTURY, RTC_YEAR, timeToRegisters } from "./rtc_time.ts";
import { claimBytePorts } from "./byte_wide.ts";
import { StateReader, toHex } from "./state.ts";

const REG_A = 0x0a, REG_B = 0x0b, REG_C = 0x0c, REG_D = 0x0d;
const B_SET = 0x80;
/** Interrupt flags in register C and their enables in register B. */
const PF = 0x40, AF = 0x20, UF = 0x10;
const SECOND = 1_000_000_000;
/** UIP is set from t_BUC (244 µs) before the update cycle to its end (t_UC, 1984 µs at 32.768 kHz). */
const UIP_NS = 2_228_000;
const OSCILLATOR = new Rate(32768);

/** Real-time clock with 128 bytes of CMOS memory. */
export class Rtc implements PortHandler, Snapshottable {
  readonly name = "rtc";
  readonly #host: DeviceHost;
  readonly #cmos: Uint8Array;
  readonly #timer: Timer;
  #index = 0;
  /** Wall clock: `#epoch` seconds since 1970 at virtual time `#epochNs`; NaN until somebody asks. */
  #epoch = NaN;
  #epochNs = 0;
  /** Flags PF, AF, UF raised since the last read of register C, up to virtual time `#seenNs`. */
  #flags = 0;
  #seenNs = 0;

  /** @param contents 128 bytes of CMOS memory at power-up (see `cmosContents`); registers 0-9 and A-D are ours. */
  constructor(host: DeviceHost, contents: Uint8Array = new Uint8Array(128)) {
    this.#host = host;
    this.#cmos = contents.slice(0, 128);
    this.#cmos[REG_A] = 0x26; // 32.768 kHz, 1024 Hz periodic rate
    this.#cmos[REG_B] = 0x02; // BCD, 24 hours
    this.#timer = host.clock.timer("rtc", () => this.#update());
    claimBytePorts(host, 0x70, 0x71, this);
    host.snapshot(this);
  }

  /** True while time stands still: SET, or the divider chain held in reset. */
  #stopped(): boolean {
    return (this.#cmos[REG_B] & B_SET) !== 0 || (this.#cmos[REG_A] & 0x60) === 0x60;
  }

  #askWallClock(): void {
    if (!Number.isNaN(this.#epoch)) return;
    const b = this.#host.ask("rtc", "rtc", 8);
    const v = new DataView(b.buffer, b.byteOffset, b.byteLength);
    const seconds = v.getUint32(0, true) + v.getUint32(4, true) * 0x1_0000_0000;
    // A year of four digits is what the registers can show: 253402300799 is the end of 9999.
    this.#epoch = Math.min(seconds, 253_402_300_799);
  }

  /** Seconds since 1970 at virtual time `ns`. */
  #seconds(ns: number): number {
    this.#askWallClock();
    return this.#epoch + Math.floor((ns - this.#epochNs) / SECOND);
  }

  /** Period of PF in oscillator cycles, or 0 when none is selected. */
  #periodCycles(): number {
    const rs = this.#cmos[REG_A] & 15;
    if (rs === 0) return 0;
    return rs <= 2 ? 1 << rs + 6 : 1 << rs - 1;
  }

  /** Raises the flags whose events lie in (`#seenNs`, now], however many there were. */
  #collect(): void {
    const now = this.#host.clock.now(), seen = this.#seenNs;
    const cycles = this.#periodCycles();
    if (
      cycles !== 0 && Math.floor(OSCILLATOR.ticks(now) / cycles) > Math.floor(OSCILLATOR.ticks(seen) / cycles)
    ) {
      this.#flags |= PF;
    }
    if (!this.#stopped()) {
      const from = Math.floor((seen - this.#epochNs) / SECOND),
        to = Math.floor((now - this.#epochNs) / SECOND);
      if (to > from) {
        this.#flags |= UF;
        const first = this.#seconds(seen);
        if (nextAlarm(first, this.#cmos, this.#cmos[REG_B]) <= first + to - from) this.#flags |= AF;
      }
    }
    this.#seenNs = now;
  }

  /** Brings flags and interrupt line up to date and plans the next event that would raise the line. */
  #update(): void {
    this.#collect();
    const enabled = this.#cmos[REG_B] & (PF | AF | UF);
    const asserted = (this.#flags & enabled) !== 0;
    this.#host.irq(8, asserted);
    this.#host.clock.arm(this.#timer, asserted ? Infinity : this.#nextEvent(enabled));
  }

  #nextEvent(enabled: number): number {
    const now = this.#seenNs;
    let at = Infinity;
    const cycles = this.#periodCycles();
    if ((enabled & PF) !== 0 && cycles !== 0) {
      at = OSCILLATOR.ns((Math.floor(OSCILLATOR.ticks(now) / cycles) + 1) * cycles);
    }
    if (this.#stopped()) return at;
    const elapsed = Math.floor((now - this.#epochNs) / SECOND);
    if ((enabled & UF) !== 0) at = Math.min(at, this.#epochNs + (elapsed + 1) * SECOND);
    if ((enabled & AF) !== 0) {
      const second = this.#seconds(now);
      const ahead = nextAlarm(second, this.#cmos, this.#cmos[REG_B]) - second;
      at = Math.min(at, this.#epochNs + (elapsed + ahead) * SECOND);
    }
    return at;
  }

  /** Copies running time into the registers. */
  #showTime(): void {
    if (!this.#stopped()) {
      timeToRegisters(this.#seconds(this.#host.clock.now()), this.#cmos, this.#cmos[REG_B]);
    }
  }

  /** Takes the time in the registers as now; the phase within the second stays. */
  #takeTime(): void {
    const now = this.#host.clock.now();
    const elapsed = Math.floor((now - this.#epochNs) / SECOND);
    this.#epoch = registersToTime(this.#cmos, this.#cmos[REG_B]) - elapsed;
    this.#seenNs = now;
  }

  read(port: number): number {
    if (port === 0x70) return 0xff; // write-only
    const i = this.#index, now = this.#host.clock.now();
    if (i <= 9 || i === RTC_CENTURY) {
      if ((i & 1) === 0 || i >= 7) this.#showTime();
      return this.#cmos[i];
    }
    if (i === REG_A) {
      const phase = ((now - this.#epochNs) % SECOND + SECOND) % SECOND;
      const uip = !this.#stopped() && phase >= SECOND - UIP_NS;
      return this.#cmos[REG_A] & 0x7f | (uip ? 0x80 : 0);
    }
    if (i === REG_C) {
      this.#collect();
      const flags = this.#flags, irqf = (flags & this.#cmos[REG_B] & (PF | AF | UF)) !== 0;
      this.#flags = 0;
      this.#update();
      return flags | (irqf ? 0x80 : 0);
    }
    return i === REG_D ? 0x80 : this.#cmos[i]; // D: the battery is good
  }

  write(port: number, _size: number, value: number): void {
    value &= 0xff;
    if (port === 0x70) {
      this.#index = value & 0x7f; // bit 7 gates NMI, of which this machine has no source
      return;
    }
    const i = this.#index;
    if (i <= 9 || i === RTC_CENTURY) {
      this.#collect();
      this.#showTime();
      this.#cmos[i] = value;
      const alarm = (i & 1) === 1 && i <= 5;
      if (!this.#stopped() && !alarm) this.#takeTime();
      this.#update();
    } else if (i === REG_A || i === REG_B) {
      this.#control(i, value);
    } else if (i !== REG_C && i !== REG_D) {
      this.#cmos[i] = value;
    }
  }

  /** Registers A and B: stopping keeps the time in the registers, starting takes it from there. */
  #control(reg: number, value: number): void {
    this.#collect();
    this.#showTime();
    const wasStopped = this.#stopped(), wasReset = (this.#cmos[REG_A] & 0x60) === 0x60;
    const oldB = this.#cmos[REG_B];
    this.#cmos[reg] = reg === REG_A ? value & 0x7f : value;
    if (reg === REG_B && (value & B_SET) !== 0) this.#cmos[REG_B] &= ~UF; // SET clears UIE
    if (wasReset && (this.#cmos[REG_A] & 0x60) !== 0x60) {
      // The first update comes half a second after the divider chain is let go.
      this.#epochNs = this.#host.clock.now() - SECOND / 2;
    }
    if (wasStopped && !this.#stopped()) this.#takeTime();
    else if (!this.#stopped() && ((oldB ^ this.#cmos[REG_B]) & 6) !== 0) this.#showTime();
    this.#update();
  }

  save(): Json {
    return {
      cmos: toHex(this.#cmos),
      index: this.#index,
      epoch: Number.isNaN(this.#epoch) ? null : this.#epoch,
      epochNs: this.#epochNs,
      flags: this.#flags,
      seenNs: this.#seenNs,
    };
  }

  load(state: Json): void {
    const r = new StateReader(this.name, state);
    this.#cmos.set(r.bytes("cmos", 128));
    this.#index = r.num("index") & 0x7f;
    const epoch = r.numOrInf("epoch");
    this.#epoch = epoch === Infinity ? NaN : epoch;
    this.#epochNs = r.num("epochNs");
    this.#flags = r.num("flags");
    this.#seenNs = r.num("seenNs");
  }
}

/**
 * CMOS memory as firmware expects it from QEMU's PC: memory sizes, boot order, processor count.
 *
 * Registers (QEMU `hw/i386/pc.c`, SeaBIOS `src/hw/rtc.h`): 0x14 equipment, 0x15-0x16 base memory in KiB, 0x17-0x18 and
 * 0x30-0x31 memory above 1 MiB in KiB, 0x34-0x35 memory above 16 MiB in 64 KiB, 0x38 and 0x3d boot order, 0x5b-0x5d
 * memory above 4 GiB in 64 KiB, 0x5f processors - 1.
 *
 * @param memoryBytes guest RAM, all below 4 GiB.
 */
export function cmosContents(memoryBytes: number, vcpus: number): Uint8Array {
  const c = new Uint8Array(128);
  const word = (at: number, v: number): void => {
    c[at] = v & 0xff;
    c[at + 1] = v >> 8;
  };
  const kib = Math.floor(memoryBytes / 1024);
  const above1m = Math.min(Math.max(kib - 1024, 0), 0xffff);
  c[0x14] = 0x06; // an FPU, a PS/2 port, no diskette
  word(0x15, Math.min(kib, 640));
  word(0x17, above1m);
  word(0x30, above1m);
  word(0x34, Math.min(Math.max(Math.floor((kib - 16 * 1024) / 64), 0), 0xffff));
  c[0x3d] = 0x21; // hard disk, then diskette
  c[0x5f] = vcpus - 1;
  c[RTC_CENTURY] = 0x20;
  c[RTC_YEAR] = encode(0, 0);
  return c;
}
