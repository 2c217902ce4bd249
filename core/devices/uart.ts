/**
 * 16550A serial port.
 *
 * Source: National Semiconductor PC16550D data sheet. Transmission takes no time: THRE and TEMT are always set, and
 * each byte written raises the THRE interrupt again, which is what polling and interrupt-driven guests both need.
 * Reception is paced: queued input bytes enter the FIFO one per character time.
 *
 * @module
 */
import type { DeviceHost, Json, PortHandler, Snapshottable } from "../bus.ts";
import type { Timer } from "../clock.ts";
import { claimBytePorts } from "./byte_wide.ts";
import { StateReader, toHex } from "./state.ts";

/** First port and ISA interrupt of COM1-COM4. */
export const COM_PORTS: readonly { readonly port: number; readonly irq: number }[] = [
  { port: 0x3f8, irq: 4 },
  { port: 0x2f8, irq: 3 },
  { port: 0x3e8, irq: 4 },
  { port: 0x2e8, irq: 3 },
];

/** Most input bytes that wait outside the FIFO; what comes on top is dropped (an overrun). */
export const UART_QUEUE_BYTES = 65536;
const FIFO_BYTES = 16;
/** Output is handed on at each newline and at this many bytes. */
const OUTPUT_BYTES = 256;
/** And when the guest has looked for input in vain this often since its last byte: a prompt has no newline. */
const POLLS_MAX = 16;
/** Divisor 1 is 115200 baud. */
const BASE_BAUD = 115_200;

/** Interrupt enable bits; the same events in order of `#pending`. */
const IER_RDA = 1, IER_THRE = 2, IER_LINE = 4, IER_MODEM = 8;
const LSR_DR = 1, LSR_OE = 2, LSR_BI = 0x10, LSR_THRE_TEMT = 0x60;
const MCR_OUT2 = 8, MCR_LOOP = 0x10;
const TRIGGER = [1, 4, 8, 14];

/** One serial port. */
export class Uart implements PortHandler, Snapshottable {
  readonly name: string;
  readonly #host: DeviceHost;
  readonly #irq: number;
  readonly #rxTimer: Timer;
  readonly #timeoutTimer: Timer;
  #ier = 0;
  #fcr = 0;
  #lcr = 0;
  #mcr = 0;
  #scratch = 0;
  /** Errors (OE) until LSR is read. */
  #lineErrors = 0;
  #divisor = 1;
  #threPending = false;
  #timeoutPending = false;
  /** Modem status change bits until MSR is read. */
  #modemDelta = 0;
  #fifo: number[] = [];
  #queue: number[] = [];
  #out: number[] = [];
  /** Reads of LSR without received data since the last byte of `#out`. */
  #polls = 0;
  #line = false;

  /** @param index 0 for COM1 ... 3 for COM4; the device is "uart0" ... "uart3". */
  constructor(host: DeviceHost, index = 0) {
    this.#host = host;
    this.name = `uart${index}`;
    this.#irq = COM_PORTS[index].irq;
    this.#rxTimer = host.clock.timer(`${this.name}-rx`, () => this.#arrive());
    this.#timeoutTimer = host.clock.timer(`${this.name}-timeout`, () => this.#characterTimeout());
    claimBytePorts(host, COM_PORTS[index].port, COM_PORTS[index].port + 7, this);
    host.snapshot(this);
  }

  /** Bytes for the guest to receive. @returns how many were taken; the rest found the queue full. */
  receive(bytes: Uint8Array): number {
    const n = Math.min(bytes.length, UART_QUEUE_BYTES - this.#queue.length);
    for (let i = 0; i < n; i++) this.#queue.push(bytes[i]);
    this.#planArrival();
    return n;
  }

  /** Hands on the output that waits for its newline. */
  flush(): void {
    if (this.#out.length === 0) return;
    this.#host.console(this.name, Uint8Array.from(this.#out));
    this.#out = [];
    this.#polls = 0;
  }

  /** Nanoseconds one character takes: start, data, parity and stop bits at the programmed rate. */
  #characterNs(): number {
    const bits = 2 + 5 + (this.#lcr & 3) + (this.#lcr >> 3 & 1) + (this.#lcr >> 2 & 1);
    return Math.round(bits * Math.max(1, this.#divisor) * (1e9 / BASE_BAUD));
  }

  get #depth(): number {
    return (this.#fcr & 1) !== 0 ? FIFO_BYTES : 1;
  }

  #planArrival(): void {
    if (this.#rxTimer.atNs !== Infinity || this.#queue.length === 0 || this.#fifo.length >= this.#depth) {
      return;
    }
    if ((this.#mcr & MCR_LOOP) !== 0) return; // the receiver is disconnected from the line
    this.#host.clock.arm(this.#rxTimer, this.#host.clock.now() + this.#characterNs());
  }

  /** One character time has passed: the next queued byte arrives, if there is room for it. */
  #arrive(): void {
    if (this.#fifo.length < this.#depth && this.#queue.length > 0) this.#push(this.#queue.shift()!);
    this.#planArrival();
    this.#update();
  }

  #push(byte: number): void {
    if (this.#fifo.length >= this.#depth) {
      this.#lineErrors |= LSR_OE;
      // Without a FIFO the new byte overwrites; with one it is lost.
      if (this.#depth === 1) this.#fifo[0] = byte;
    } else this.#fifo.push(byte);
    this.#restartTimeout();
  }

  /** FIFO mode: data below the trigger level that nobody reads for four character times interrupts all the same. */
  #restartTimeout(): void {
    this.#timeoutPending = false;
    const waiting = (this.#fcr & 1) !== 0 && this.#fifo.length > 0;
    this.#host.clock.arm(
      this.#timeoutTimer,
      waiting ? this.#host.clock.now() + 4 * this.#characterNs() : Infinity,
    );
  }

  #characterTimeout(): void {
    this.#timeoutPending = this.#fifo.length > 0;
    this.#update();
  }

  /** Interrupt identification (IIR bits 3-0), highest priority first; 1: none. */
  #identify(): number {
    if ((this.#ier & IER_LINE) !== 0 && this.#lineErrors !== 0) return 6;
    if ((this.#ier & IER_RDA) !== 0) {
      const trigger = (this.#fcr & 1) !== 0 ? TRIGGER[this.#fcr >> 6] : 1;
      if (this.#fifo.length >= trigger) return 4;
      if (this.#timeoutPending) return 12;
    }
    if ((this.#ier & IER_THRE) !== 0 && this.#threPending) return 2;
    return (this.#ier & IER_MODEM) !== 0 && this.#modemDelta !== 0 ? 0 : 1;
  }

  /** The interrupt output passes a PC's OUT2 gate (open in loopback mode, where OUT2 is disconnected). */
  #update(): void {
    const level = this.#identify() !== 1 && (this.#mcr & (MCR_OUT2 | MCR_LOOP)) === MCR_OUT2;
    if (level === this.#line) return;
    this.#line = level;
    this.#host.irq(this.#irq, level);
  }

  read(port: number): number {
    switch (port & 7) {
      case 0:
        return (this.#lcr & 0x80) !== 0 ? this.#divisor & 0xff : this.#readData();
      case 1:
        return (this.#lcr & 0x80) !== 0 ? this.#divisor >> 8 : this.#ier;
      case 2: {
        const id = this.#identify();
        if (id === 2) {
          this.#threPending = false;
          this.#update();
        }
        return id | ((this.#fcr & 1) !== 0 ? 0xc0 : 0);
      }
      case 3:
        return this.#lcr;
      case 4:
        return this.#mcr;
      case 5: {
        const v = LSR_THRE_TEMT | this.#lineErrors | (this.#fifo.length > 0 ? LSR_DR : 0);
        this.#lineErrors = 0;
        this.#update();
        if (this.#out.length > 0 && (v & LSR_DR) === 0 && ++this.#polls >= POLLS_MAX) this.flush();
        return v;
      }
      case 6: {
        const v = this.#modemStatus() | this.#modemDelta;
        this.#modemDelta = 0;
        this.#update();
        return v;
      }
      default:
        return this.#scratch;
    }
  }

  #readData(): number {
    const v = this.#fifo.shift() ?? 0;
    this.#restartTimeout();
    this.#planArrival();
    this.#update();
    return v;
  }

  /** DCD, DSR and CTS are on; in loopback the four outputs come back. */
  #modemStatus(): number {
    if ((this.#mcr & MCR_LOOP) === 0) return 0xb0;
    const m = this.#mcr;
    return (m & 2) << 3 | (m & 1) << 5 | (m & 4) << 4 | (m & 8) << 4;
  }

  write(port: number, _size: number, value: number): void {
    value &= 0xff;
    switch (port & 7) {
      case 0:
        if ((this.#lcr & 0x80) !== 0) this.#divisor = this.#divisor & 0xff00 | value;
        else this.#transmit(value);
        break;
      case 1:
        if ((this.#lcr & 0x80) !== 0) this.#divisor = this.#divisor & 0xff | value << 8;
        else {
          // Enabling the THRE interrupt with an empty holding register raises it at once.
          if ((value & IER_THRE) !== 0 && (this.#ier & IER_THRE) === 0) this.#threPending = true;
          this.#ier = value & 15;
        }
        break;
      case 2:
        this.#writeFcr(value);
        break;
      case 3:
        // A break sent in loopback mode comes back as a null character with the break bit.
        if ((value & ~this.#lcr & 0x40) !== 0 && (this.#mcr & MCR_LOOP) !== 0) {
          this.#push(0);
          this.#lineErrors |= LSR_BI;
        }
        this.#lcr = value;
        break;
      case 4:
        this.#writeMcr(value & 0x1f);
        break;
      case 7:
        this.#scratch = value;
    }
    this.#update();
  }

  #transmit(byte: number): void {
    // The holding register fills and empties: the THRE request drops and rises, an edge for the 8259.
    this.#threPending = false;
    this.#update();
    this.#threPending = true;
    if ((this.#mcr & MCR_LOOP) !== 0) {
      this.#push(byte);
      return;
    }
    this.#out.push(byte);
    this.#polls = 0;
    if (byte === 10 || this.#out.length >= OUTPUT_BYTES) this.flush();
  }

  #writeFcr(value: number): void {
    // Changing FIFO mode clears both FIFOs, as does bit 1; bit 2 (transmit) finds nothing to clear.
    if (((value ^ this.#fcr) & 1) !== 0 || (value & 2) !== 0) {
      this.#fifo = [];
      this.#restartTimeout();
    }
    this.#fcr = (value & 1) !== 0 ? value & 0xc9 : 0;
    this.#planArrival();
  }

  #writeMcr(value: number): void {
    const before = this.#modemStatus();
    this.#mcr = value;
    const after = this.#modemStatus(), changed = before ^ after;
    // Delta bits: any change of CTS, DSR, DCD; RI only when it goes off.
    this.#modemDelta |= changed >> 4 & 0xb | ((before & ~after & 0x40) !== 0 ? 4 : 0);
    this.#planArrival();
  }

  save(): Json {
    return {
      regs: [this.#ier, this.#fcr, this.#lcr, this.#mcr, this.#scratch, this.#lineErrors, this.#divisor],
      threPending: this.#threPending,
      timeoutPending: this.#timeoutPending,
      modemDelta: this.#modemDelta,
      fifo: toHex(Uint8Array.from(this.#fifo)),
      queue: toHex(Uint8Array.from(this.#queue)),
      out: toHex(Uint8Array.from(this.#out)),
      polls: this.#polls,
      line: this.#line,
    };
  }

  load(state: Json): void {
    const r = new StateReader(this.name, state);
    const regs = r.list("regs", 7).map((x) => Number(x) & 0xffff);
    [this.#ier, this.#fcr, this.#lcr, this.#mcr, this.#scratch, this.#lineErrors, this.#divisor] = regs;
    this.#threPending = r.bool("threPending");
    this.#timeoutPending = r.bool("timeoutPending");
    this.#modemDelta = r.num("modemDelta");
    this.#fifo = [...r.bytes("fifo", -1, FIFO_BYTES)];
    this.#queue = [...r.bytes("queue", -1, UART_QUEUE_BYTES)];
    this.#out = [...r.bytes("out", -1, OUTPUT_BYTES)];
    this.#polls = r.num("polls");
    this.#line = r.bool("line");
  }
}
