/**
 * Keyboard controller at ports 0x60/0x64 with a keyboard and no mouse, and the fast A20 port 0x92.
 *
 * Source: IBM PC AT technical reference, section "Keyboard Controller"; IBM PS/2 hardware interface reference for the
 * keyboard's commands. A20 is always on: attempts to switch it off are remembered for reading back and do nothing.
 *
 * @module
 */
import type { DeviceHost, Json, PortHandler, Snapshottable } from "../bus.ts";
import { claimBytePorts } from "./byte_wide.ts";
import { StateReader, toHex } from "./state.ts";

/** Most bytes that wait to be read; what comes on top is dropped, as a full keyboard buffer does. */
const QUEUE_BYTES = 256;

const STATUS_OBF = 1, STATUS_SYSTEM = 4, STATUS_COMMAND = 8, STATUS_UNLOCKED = 0x10;
/** Command byte: interrupt on output buffer full, system flag, keyboard clock off, scan code translation. */
const CB_IRQ = 1, CB_SYSTEM = 4, CB_DISABLED = 0x10, CB_TRANSLATE = 0x40;
const ACK = 0xfa;

/** Keyboard controller. */
export class I8042 implements PortHandler, Snapshottable {
  readonly name = "i8042";
  readonly #host: DeviceHost;
  #commandByte = CB_TRANSLATE | CB_IRQ | CB_SYSTEM;
  /** Controller command that waits for its data byte at port 0x60, or 0. */
  #command = 0;
  /** Keyboard command that waits for its parameter, or 0. */
  #keyboardCommand = 0;
  #lastWasCommand = false;
  #outputPort = 0xdf;
  #scanning = true;
  #last = 0;
  #queue: number[] = [];

  constructor(host: DeviceHost) {
    this.#host = host;
    claimBytePorts(host, 0x60, 0x60, this);
    claimBytePorts(host, 0x64, 0x64, this);
    claimBytePorts(host, 0x92, 0x92, this);
    host.snapshot(this);
  }

  /** Scan codes (set 1, as a translating controller passes them on) from outside. @returns how many were taken. */
  receive(bytes: Uint8Array): number {
    if (!this.#scanning) return 0;
    const n = Math.min(bytes.length, QUEUE_BYTES - this.#queue.length);
    for (let i = 0; i < n; i++) this.#queue.push(bytes[i]);
    this.#update();
    return n;
  }

  #answer(...bytes: number[]): void {
    for (const b of bytes) if (this.#queue.length < QUEUE_BYTES) this.#queue.push(b);
    this.#update();
  }

  #update(): void {
    this.#host.irq(1, this.#queue.length > 0 && (this.#commandByte & CB_IRQ) !== 0);
  }

  #reset(): void {
    this.#host.stop({
      kind: "reboot",
      message:
        `The guest reset the machine through the keyboard controller at icount ${this.#host.clock.icount}`,
    });
  }

  read(port: number): number {
    if (port === 0x92) return this.#outputPort & 2;
    if (port === 0x64) {
      return (this.#queue.length > 0 ? STATUS_OBF : 0) |
        ((this.#commandByte & CB_SYSTEM) !== 0 ? STATUS_SYSTEM : 0) |
        (this.#lastWasCommand ? STATUS_COMMAND : 0) | STATUS_UNLOCKED;
    }
    if (this.#queue.length > 0) {
      this.#last = this.#queue.shift()!;
      this.#host.irq(1, false); // each byte is an edge of its own
      this.#update();
    }
    return this.#last;
  }

  write(port: number, _size: number, value: number): void {
    value &= 0xff;
    if (port === 0x92) {
      this.#outputPort = this.#outputPort & ~2 | value & 2;
      if ((value & 1) !== 0) this.#reset();
    } else if (port === 0x64) {
      this.#lastWasCommand = true;
      this.#controller(value);
    } else {
      this.#lastWasCommand = false;
      if (this.#command !== 0) this.#controllerData(value);
      else this.#keyboard(value);
    }
  }

  #controller(command: number): void {
    this.#command = 0;
    if (command >= 0xf0) {
      if ((command & 1) === 0) this.#reset(); // pulses output port bit 0: the processor's reset line
      return;
    }
    switch (command) {
      case 0x20:
        return this.#answer(this.#commandByte);
      case 0x60: // these take a data byte
      case 0xd1:
      case 0xd2:
      case 0xd3:
      case 0xd4:
        this.#command = command;
        return;
      case 0xa9: // auxiliary port test: clock line stuck low, nothing there
        return this.#answer(1);
      case 0xaa:
        this.#commandByte |= CB_SYSTEM;
        return this.#answer(0x55);
      case 0xab:
        return this.#answer(0);
      case 0xad:
        this.#commandByte |= CB_DISABLED;
        return;
      case 0xae:
        this.#commandByte &= ~CB_DISABLED;
        return;
      case 0xc0:
        return this.#answer(0x80);
      case 0xd0:
        return this.#answer(this.#outputPort);
      case 0xdd:
        this.#outputPort &= ~2;
        return;
      case 0xdf:
        this.#outputPort |= 2;
    }
  }

  #controllerData(value: number): void {
    const command = this.#command;
    this.#command = 0;
    if (command === 0x60) {
      this.#commandByte = value;
      this.#update();
    } else if (command === 0xd1) {
      this.#outputPort = value | 1;
      if ((value & 1) === 0) this.#reset();
    } else if (command !== 0xd4) {
      // 0xd2; 0xd3 too: without an auxiliary port the byte comes back as keyboard data, which tells drivers so.
      this.#answer(value);
    }
  }

  #keyboard(value: number): void {
    const command = this.#keyboardCommand;
    this.#keyboardCommand = 0;
    this.#commandByte &= ~CB_DISABLED; // sending to the keyboard enables its clock
    if (command !== 0 && value < 0xed) {
      // LEDs, typematic rate, scan code set (0 asks: set 2, translated to 0x41).
      this.#answer(ACK);
      if (command === 0xf0 && value === 0) this.#answer((this.#commandByte & CB_TRANSLATE) !== 0 ? 0x41 : 2);
      return;
    }
    switch (value) {
      case 0xed:
      case 0xf0:
      case 0xf3:
        this.#keyboardCommand = value;
        return this.#answer(ACK);
      case 0xee:
        return this.#answer(0xee);
      case 0xf2:
        return this.#answer(ACK, 0xab, (this.#commandByte & CB_TRANSLATE) !== 0 ? 0x41 : 0x83);
      case 0xf4:
        this.#scanning = true;
        return this.#answer(ACK);
      case 0xf5:
        this.#scanning = false;
        return this.#answer(ACK);
      case 0xf6:
        return this.#answer(ACK);
      case 0xff:
        this.#scanning = true;
        return this.#answer(ACK, 0xaa);
      default:
        return this.#answer(0xfe); // resend: not understood
    }
  }

  save(): Json {
    return {
      commandByte: this.#commandByte,
      command: this.#command,
      keyboardCommand: this.#keyboardCommand,
      lastWasCommand: this.#lastWasCommand,
      outputPort: this.#outputPort,
      scanning: this.#scanning,
      last: this.#last,
      queue: toHex(Uint8Array.from(this.#queue)),
    };
  }

  load(state: Json): void {
    const r = new StateReader(this.name, state);
    this.#commandByte = r.num("commandByte");
    this.#command = r.num("command");
    this.#keyboardCommand = r.num("keyboardCommand");
    this.#lastWasCommand = r.bool("lastWasCommand");
    this.#outputPort = r.num("outputPort");
    this.#scanning = r.bool("scanning");
    this.#last = r.num("last");
    this.#queue = [...r.bytes("queue", -1, QUEUE_BYTES)];
  }
}
