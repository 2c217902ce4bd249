/**
 * The two cascaded 8259A interrupt controllers of a PC: ports 0x20/0x21 (master), 0xa0/0xa1 (slave on IR2), and the
 * edge/level control registers at 0x4d0/0x4d1.
 *
 * Source: Intel 8259A data sheet (order 231468): ICW1-4, OCW1-3, priority, special mask, poll, automatic EOI; Intel
 * 82371AB (PIIX4) data sheet for ELCR, which replaces ICW1's LTIM bit.
 *
 * @module
 */
import type { DeviceHost, Json, PortHandler, Snapshottable } from "../bus.ts";
import { claimBytePorts } from "./byte_wide.ts";
import { StateReader } from "./state.ts";

/** One 8259A. */
class Pic8259 {
  /** Input levels, edges latched and not yet acknowledged, in service, masked: bit n is IRn. */
  lines = 0;
  edges = 0;
  isr = 0;
  imr = 0;
  /** Inputs that are level-triggered (ELCR). */
  elcr = 0;
  vectorBase = 0;
  /** IR with the lowest priority: 7 unless rotated. */
  lowest = 7;
  /** Initialization word expected next at the odd port (2, 3, 4), or 0. */
  icw = 0;
  needIcw4 = false;
  single = false;
  autoEoi = false;
  rotateOnAutoEoi = false;
  specialMask = false;
  fullyNested = false;
  /** Reads of the even port give ISR rather than IRR. */
  readIsr = false;
  poll = false;

  /** @param cascade inputs that have a slave behind them. */
  constructor(readonly cascade: number) {}

  /** Interrupt request register. */
  get irr(): number {
    return (this.edges & ~this.elcr) | (this.lines & this.elcr);
  }

  setLine(ir: number, level: boolean): void {
    const bit = 1 << ir;
    if (level) {
      if ((this.lines & bit) === 0) this.edges |= bit;
      this.lines |= bit;
    } else {
      // The request latch follows the input down: one that goes low before the acknowledge is a spurious IR7.
      this.lines &= ~bit;
      this.edges &= ~bit;
    }
  }

  /** Priority of an IR: 0 is the highest. */
  #rank(ir: number): number {
    return ir - this.lowest - 1 & 7;
  }

  /** The highest-priority set bit, or -1. */
  #best(bits: number): number {
    for (let i = 1; i <= 8; i++) {
      const ir = this.lowest + i & 7;
      if ((bits & 1 << ir) !== 0) return ir;
    }
    return -1;
  }

  /** The IR that the INT output is asserted for, or -1. */
  request(): number {
    if (this.icw !== 0) return -1;
    const ir = this.#best(this.irr & ~this.imr);
    if (ir < 0) return -1;
    const serving = this.#best(this.specialMask ? this.isr & ~this.imr : this.isr);
    if (serving < 0 || this.#rank(ir) < this.#rank(serving)) return ir;
    // Special fully nested: a slave in service may ask again for one of its own higher-priority inputs.
    return this.fullyNested && ir === serving && (this.cascade & 1 << ir) !== 0 ? ir : -1;
  }

  /** Interrupt acknowledge: the IR, 7 when nothing (any more) asks. */
  acknowledge(): number {
    const ir = this.request();
    if (ir < 0) return 7;
    this.edges &= ~(1 << ir);
    if (!this.autoEoi) this.isr |= 1 << ir;
    else if (this.rotateOnAutoEoi) this.lowest = ir;
    return ir;
  }

  writeEven(value: number): void {
    if ((value & 0x10) !== 0) this.#initialize(value);
    else if ((value & 0x08) !== 0) this.#ocw3(value);
    else this.#ocw2(value);
  }

  #initialize(value: number): void {
    this.edges = 0;
    this.isr = 0;
    this.imr = 0;
    this.lowest = 7;
    this.specialMask = false;
    this.readIsr = false;
    this.poll = false;
    this.single = (value & 2) !== 0;
    this.needIcw4 = (value & 1) !== 0;
    this.autoEoi = false;
    this.fullyNested = false;
    this.rotateOnAutoEoi = false;
    this.icw = 2;
  }

  #ocw3(value: number): void {
    if ((value & 0x40) !== 0) this.specialMask = (value & 0x20) !== 0;
    if ((value & 0x04) !== 0) this.poll = true;
    else if ((value & 0x02) !== 0) this.readIsr = (value & 1) !== 0;
  }

  #ocw2(value: number): void {
    const specific = value & 7;
    switch (value >> 5) {
      case 0:
      case 4:
        this.rotateOnAutoEoi = value >> 5 === 4;
        break;
      case 1:
      case 5: { // non-specific: in special mask mode, levels that are masked stay in service
        const ir = this.#best(this.specialMask ? this.isr & ~this.imr : this.isr);
        if (ir < 0) break;
        this.isr &= ~(1 << ir);
        if (value >> 5 === 5) this.lowest = ir;
        break;
      }
      case 3:
      case 7:
        this.isr &= ~(1 << specific);
        if (value >> 5 === 7) this.lowest = specific;
        break;
      case 6:
        this.lowest = specific;
    }
  }

  writeOdd(value: number): void {
    switch (this.icw) {
      case 0:
        this.imr = value;
        break;
      case 2:
        this.vectorBase = value & 0xf8;
        this.icw = this.single ? (this.needIcw4 ? 4 : 0) : 3;
        break;
      case 3: // the wiring is fixed: IR2
        this.icw = this.needIcw4 ? 4 : 0;
        break;
      default:
        this.autoEoi = (value & 2) !== 0;
        this.fullyNested = (value & 0x10) !== 0;
        this.icw = 0;
    }
  }

  /** A read of the even (`odd` false) or odd port. After a poll command it acknowledges: 0x80 | IR, or 0. */
  read(odd: boolean): number {
    if (this.poll) {
      this.poll = false;
      return this.request() < 0 ? 0 : 0x80 | this.acknowledge();
    }
    return odd ? this.imr : this.readIsr ? this.isr : this.irr;
  }

  save(): Json {
    const bits = (this.needIcw4 ? 1 : 0) | (this.single ? 2 : 0) | (this.autoEoi ? 4 : 0) |
      (this.rotateOnAutoEoi ? 8 : 0) | (this.specialMask ? 16 : 0) | (this.fullyNested ? 32 : 0) |
      (this.readIsr ? 64 : 0) | (this.poll ? 128 : 0);
    return {
      lines: this.lines,
      edges: this.edges,
      isr: this.isr,
      imr: this.imr,
      elcr: this.elcr,
      vectorBase: this.vectorBase,
      lowest: this.lowest,
      icw: this.icw,
      modes: bits,
    };
  }

  load(state: Json): void {
    const r = new StateReader("pic", state);
    this.lines = r.num("lines");
    this.edges = r.num("edges");
    this.isr = r.num("isr");
    this.imr = r.num("imr");
    this.elcr = r.num("elcr");
    this.vectorBase = r.num("vectorBase");
    this.lowest = r.num("lowest") & 7;
    this.icw = r.num("icw");
    const bits = r.num("modes");
    this.needIcw4 = (bits & 1) !== 0;
    this.single = (bits & 2) !== 0;
    this.autoEoi = (bits & 4) !== 0;
    this.rotateOnAutoEoi = (bits & 8) !== 0;
    this.specialMask = (bits & 16) !== 0;
    this.fullyNested = (bits & 32) !== 0;
    this.readIsr = (bits & 64) !== 0;
    this.poll = (bits & 128) !== 0;
  }
}

/** The pair as the processor sees it: 15 inputs, one INT output. */
export class PicPair implements PortHandler, Snapshottable {
  readonly name = "pic";
  /** Level of the master's INT output. */
  output = false;
  readonly #onOutput: (level: boolean) => void;
  readonly #master = new Pic8259(1 << 2);
  readonly #slave = new Pic8259(0);

  /** @param onOutput told when the INT output changes. */
  constructor(host: DeviceHost, onOutput: (level: boolean) => void) {
    this.#onOutput = onOutput;
    claimBytePorts(host, 0x20, 0x21, this);
    claimBytePorts(host, 0xa0, 0xa1, this);
    claimBytePorts(host, 0x4d0, 0x4d1, this);
    host.snapshot(this);
  }

  /** Level of input 0-15; input 2 is the cascade and has no pin. */
  setLine(irq: number, level: boolean): void {
    if (irq === 2 || irq > 15) return;
    if (irq < 8) this.#master.setLine(irq, level);
    else this.#slave.setLine(irq - 8, level);
    this.#update();
  }

  /** The processor's interrupt acknowledge: the vector. With nothing pending it is the spurious IR7 of the chip asked. */
  ack(): number {
    const ir = this.#master.acknowledge();
    let vector = this.#master.vectorBase + ir;
    if (ir === 2) vector = this.#slave.vectorBase + this.#slave.acknowledge();
    this.#master.setLine(2, false); // the slave's INT drops at its acknowledge, and may rise again: a new edge
    this.#update();
    return vector;
  }

  #update(): void {
    const asks = this.#slave.request() >= 0;
    this.#master.setLine(2, asks);
    const out = this.#master.request() >= 0;
    if (out === this.output) return;
    this.output = out;
    this.#onOutput(out);
  }

  read(port: number): number {
    if (port >= 0x4d0) return port === 0x4d0 ? this.#master.elcr : this.#slave.elcr;
    const chip = port < 0xa0 ? this.#master : this.#slave;
    const polled = chip.poll;
    const v = chip.read((port & 1) !== 0);
    if (!polled) return v;
    if (chip === this.#slave) this.#master.setLine(2, false);
    this.#update();
    return v;
  }

  write(port: number, _size: number, value: number): void {
    value &= 0xff;
    if (port === 0x4d0) this.#master.elcr = value & 0xf8; // IRQ 0, 1 and 2 are always edges
    else if (port === 0x4d1) this.#slave.elcr = value & 0xde; // and so are 8 and 13
    else {
      const chip = port < 0xa0 ? this.#master : this.#slave;
      if ((port & 1) !== 0) chip.writeOdd(value);
      else chip.writeEven(value);
    }
    this.#update();
  }

  save(): Json {
    return { master: this.#master.save(), slave: this.#slave.save() };
  }

  load(state: Json): void {
    const r = new StateReader(this.name, state);
    this.#master.load(r.get("master"));
    this.#slave.load(r.get("slave"));
    this.output = this.#master.request() >= 0;
  }
}
