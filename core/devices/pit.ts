/**
 * 8254 programmable interval timer at ports 0x40-0x43 and the system control port 0x61 that gates its channel 2.
 *
 * Source: Intel 82C54 data sheet (order 231244): control word, read-back and latch commands; IBM PC AT technical
 * reference for port 0x61. Channel 0 drives IRQ 0, channels 0 and 1 have their gates tied high.
 *
 * @module
 */
import type { DeviceHost, Json, PortHandler, Snapshottable } from "../bus.ts";
import type { Timer } from "../clock.ts";
import { PitCounter } from "./pit_counter.ts";
import { Rate } from "./rate.ts";
import { claimBytePorts } from "./byte_wide.ts";
import { StateReader } from "./state.ts";

/** Frequency of the CLK inputs in Hz. */
export const PIT_HZ = 1_193_182;

/** CLK ticks between toggles of the refresh bit of port 0x61 (channel 1 of a PC counts 18: 15.09 µs). */
const REFRESH_TICKS = 18;

/** Byte access to one counter: format, latches and which byte is next. */
class Channel {
  readonly counter = new PitCounter();
  /** 1: low byte, 2: high byte, 3: low then high. */
  access = 3;
  /** Low byte of a count half written, or -1. */
  writeLow = -1;
  /** The next read of a two-byte value gives the high byte. */
  readHigh = false;
  /** Latched count as read (BCD-encoded where so counted), or -1. */
  latch = -1;
  /** Latched status byte, or -1. */
  status = -1;

  /** Counting element as the guest reads it. */
  element(t: number): number {
    const ce = this.counter.view(t).ce;
    if (!this.counter.bcd) return ce;
    return Math.floor(ce / 1000) << 12 | Math.floor(ce / 100) % 10 << 8 | Math.floor(ce / 10) % 10 << 4 |
      ce % 10;
  }

  statusByte(t: number): number {
    const c = this.counter;
    return (c.view(t).out ? 0x80 : 0) | (c.nullCount(t) ? 0x40 : 0) | this.access << 4 | c.mode << 1 |
      (c.bcd ? 1 : 0);
  }

  control(value: number): void {
    const mode = value >> 1 & 7;
    this.access = value >> 4 & 3;
    this.counter.program(mode > 5 ? mode - 4 : mode, (value & 1) !== 0);
    this.writeLow = -1;
    this.readHigh = false;
    this.latch = -1;
    this.status = -1;
  }

  write(value: number, t: number): void {
    if (this.access === 3 && this.writeLow < 0) {
      this.writeLow = value;
      this.counter.firstByte(t);
      return;
    }
    const raw = this.access === 1 ? value : this.access === 2 ? value << 8 : value << 8 | this.writeLow;
    this.writeLow = -1;
    this.counter.write(this.counter.bcd ? fromBcd(raw) : raw, t);
  }

  read(t: number): number {
    if (this.status >= 0) {
      const s = this.status;
      this.status = -1;
      return s;
    }
    const v = this.latch >= 0 ? this.latch : this.element(t);
    if (this.access !== 3) {
      this.latch = -1;
      return this.access === 2 ? v >> 8 : v & 0xff;
    }
    const high = this.readHigh;
    this.readHigh = !high;
    if (high) this.latch = -1;
    return high ? v >> 8 : v & 0xff;
  }

  save(): Json {
    return {
      counter: this.counter.save(),
      access: this.access,
      writeLow: this.writeLow,
      readHigh: this.readHigh,
      latch: this.latch,
      status: this.status,
    };
  }

  load(state: Json): void {
    const r = new StateReader("pit channel", state);
    this.counter.load(r.get("counter"));
    this.access = r.num("access");
    this.writeLow = r.num("writeLow");
    this.readHigh = r.bool("readHigh");
    this.latch = r.num("latch");
    this.status = r.num("status");
  }
}

/** Digits above 9 count as what their weight says, bounded to the four-digit range. */
function fromBcd(v: number): number {
  return ((v >> 12) * 1000 + (v >> 8 & 15) * 100 + (v >> 4 & 15) * 10 + (v & 15)) % 10000;
}

/** The interval timer of a PC. */
export class Pit implements PortHandler, Snapshottable {
  readonly name = "pit";
  readonly #host: DeviceHost;
  readonly #rate = new Rate(PIT_HZ);
  readonly #channels = [new Channel(), new Channel(), new Channel()];
  readonly #timer: Timer;
  /** Port 0x61 bits 0-3 as written. */
  #port61 = 0;

  /** Starts as firmware leaves it: every channel in mode 3 with the longest count, channel 2's gate low. */
  constructor(host: DeviceHost) {
    this.#host = host;
    this.#timer = host.clock.timer("pit", () => this.#fire());
    for (const c of this.#channels) {
      c.control(0x36);
      c.counter.write(0, -1);
    }
    this.#channels[2].counter.setGate(false, 0);
    claimBytePorts(host, 0x40, 0x43, this);
    claimBytePorts(host, 0x61, 0x61, this);
    host.snapshot(this);
    this.#plan();
  }

  #tick(): number {
    return this.#rate.ticks(this.#host.clock.now());
  }

  /** OUT of channel 0 rose at the planned tick. Missed rises are one: the interrupt controller latches one edge. */
  #fire(): void {
    this.#host.irq(0, false);
    this.#host.irq(0, true);
    this.#plan();
  }

  #plan(): void {
    const rise = this.#channels[0].counter.nextRise(this.#tick());
    this.#host.clock.arm(this.#timer, this.#rate.ns(rise));
  }

  read(port: number): number {
    const t = this.#tick();
    if (port === 0x61) {
      return this.#port61 | (Math.floor(t / REFRESH_TICKS) & 1) << 4 |
        (this.#channels[2].counter.view(t).out ? 0x20 : 0);
    }
    return port === 0x43 ? 0xff : this.#channels[port & 3].read(t);
  }

  write(port: number, _size: number, value: number): void {
    const t = this.#tick();
    value &= 0xff;
    if (port === 0x61) {
      this.#port61 = value & 0x0f;
      this.#channels[2].counter.setGate((value & 1) !== 0, t);
    } else if (port !== 0x43) {
      const c = this.#channels[port & 3];
      c.write(value, t);
      if (port === 0x40) this.#written(c.counter.mode === 2 || c.counter.mode === 3);
    } else if (value >= 0xc0) {
      this.#readBack(value, t);
    } else {
      const c = this.#channels[value >> 6];
      if ((value & 0x30) === 0) {
        if (c.latch < 0) c.latch = c.element(t);
        return;
      }
      c.control(value);
      if (value < 0x40) this.#written(false);
    }
  }

  /** Channel 0 was written: OUT may have changed at once, and the next rise has. */
  #written(periodicCount: boolean): void {
    // A new count of a running square wave leaves OUT alone; the interrupt it may have latched must stay latched.
    if (!periodicCount) this.#host.irq(0, this.#channels[0].counter.view(this.#tick()).out);
    this.#plan();
  }

  #readBack(value: number, t: number): void {
    for (let i = 0; i < 3; i++) {
      if ((value >> 1 & 1 << i) === 0) continue;
      const c = this.#channels[i];
      if ((value & 0x20) === 0 && c.latch < 0) c.latch = c.element(t);
      if ((value & 0x10) === 0 && c.status < 0) c.status = c.statusByte(t);
    }
  }

  save(): Json {
    return { port61: this.#port61, channels: this.#channels.map((c) => c.save()) };
  }

  load(state: Json): void {
    const r = new StateReader(this.name, state);
    this.#port61 = r.num("port61");
    r.list("channels", 3).forEach((s, i) => this.#channels[i].load(s));
  }
}
