/**
 * VGA in text mode: register files at 0x3b0-0x3df that store what is written, the status register, and a reader for
 * the screen. Display memory at 0xb8000 is plain guest RAM, backed here.
 *
 * Source: IBM VGA hardware interface reference (PS/2 model 50/60, section "Video Subsystem").
 *
 * @module
 */
import type { DeviceHost, Json, PortHandler, Snapshottable } from "../bus.ts";
import { Rate } from "./rate.ts";
import { claimBytePorts } from "./byte_wide.ts";
import { StateReader, toHex } from "./state.ts";

/** Display memory of colour text modes: address and bytes. */
export const VGA_TEXT_BASE = 0xb8000, VGA_TEXT_BYTES = 0x8000;
const COLUMNS = 80, ROWS = 25;

/** 400-line text mode: 31.469 kHz lines, 449 of them a frame, 400 shown; a fifth of each line is blank. */
const LINE_RATE = new Rate(31469 * 5);
const LINES = 449, SHOWN_LINES = 400, RETRACE_LINES = { first: 412, last: 413 };

/** Text-mode VGA registers. */
export class Vga implements PortHandler, Snapshottable {
  readonly name = "vga";
  readonly #host: DeviceHost;
  /** Register files: CRT controller, sequencer, graphics controller (by index), attribute controller. */
  readonly #crtc = new Uint8Array(256);
  readonly #sequencer = new Uint8Array(256);
  readonly #graphics = new Uint8Array(256);
  readonly #attribute = new Uint8Array(32);
  readonly #palette = new Uint8Array(768);
  /** Indexes: CRTC, sequencer, graphics, attribute, palette read, palette write (both in bytes). */
  #index = [0, 0, 0, 0, 0, 0];
  #misc = 0x67;
  #pelMask = 0xff;
  /** The next write to 0x3c0 is data. */
  #attributeData = false;

  constructor(host: DeviceHost) {
    this.#host = host;
    // Two scan lines short of 16 per character: the cursor of mode 3.
    this.#crtc[0x0a] = 13;
    this.#crtc[0x0b] = 14;
    host.mem.map(VGA_TEXT_BASE, VGA_TEXT_BYTES);
    claimBytePorts(host, 0x3b0, 0x3df, this);
    host.snapshot(this);
  }

  /** Input status 1: bit 0 display is blank, bit 3 vertical retrace; a function of virtual time. */
  #status(): number {
    this.#attributeData = false;
    const t = LINE_RATE.ticks(this.#host.clock.now());
    const line = Math.floor(t / 5) % LINES;
    const blank = line >= SHOWN_LINES || t % 5 === 4;
    return (blank ? 1 : 0) | (line >= RETRACE_LINES.first && line <= RETRACE_LINES.last ? 8 : 0);
  }

  read(port: number): number {
    switch (port) {
      case 0x3b4:
      case 0x3d4:
        return this.#index[0];
      case 0x3b5:
      case 0x3d5:
        return this.#crtc[this.#index[0]];
      case 0x3ba:
      case 0x3da:
        return this.#status();
      case 0x3c0:
        return this.#index[3];
      case 0x3c1:
        return this.#attribute[this.#index[3] & 31];
      case 0x3c2:
        return 0x10; // a monitor is there
      case 0x3c4:
        return this.#index[1];
      case 0x3c5:
        return this.#sequencer[this.#index[1]];
      case 0x3c6:
        return this.#pelMask;
      case 0x3c8:
        return Math.floor(this.#index[5] / 3);
      case 0x3c9:
        return this.#palette[this.#advancePalette(4)];
      case 0x3cc:
        return this.#misc;
      case 0x3ce:
        return this.#index[2];
      case 0x3cf:
        return this.#graphics[this.#index[2]];
      default:
        return port === 0x3c7 || port === 0x3ca ? 0 : 0xff;
    }
  }

  #advancePalette(which: number): number {
    const at = this.#index[which];
    this.#index[which] = (at + 1) % 768;
    return at;
  }

  write(port: number, _size: number, value: number): void {
    switch (port) {
      case 0x3b4:
      case 0x3d4:
        this.#index[0] = value;
        break;
      case 0x3b5:
      case 0x3d5:
        this.#crtc[this.#index[0]] = value;
        break;
      case 0x3c0:
        if (this.#attributeData) this.#attribute[this.#index[3] & 31] = value;
        else this.#index[3] = value & 0x3f;
        this.#attributeData = !this.#attributeData;
        break;
      case 0x3c2:
        this.#misc = value;
        break;
      case 0x3c4:
        this.#index[1] = value;
        break;
      case 0x3c5:
        this.#sequencer[this.#index[1]] = value;
        break;
      case 0x3c6:
        this.#pelMask = value;
        break;
      case 0x3c7:
        this.#index[4] = value * 3;
        break;
      case 0x3c8:
        this.#index[5] = value * 3;
        break;
      case 0x3c9:
        this.#palette[this.#advancePalette(5)] = value & 0x3f;
        break;
      case 0x3ce:
        this.#index[2] = value;
        break;
      case 0x3cf:
        this.#graphics[this.#index[2]] = value;
    }
  }

  /**
   * The text on the screen, 25 lines of up to 80 characters, trailing blanks removed. Bytes outside ASCII show as
   * "." and 0 as a blank.
   */
  textScreen(): string[] {
    const start = (this.#crtc[0x0c] << 8 | this.#crtc[0x0d]) * 2 % VGA_TEXT_BYTES;
    const lines: string[] = [];
    for (let row = 0; row < ROWS; row++) {
      let line = "";
      for (let column = 0; column < COLUMNS; column++) {
        const offset = (start + (row * COLUMNS + column) * 2) % VGA_TEXT_BYTES;
        const c = this.#host.mem.read8(VGA_TEXT_BASE + offset);
        line += c === 0 ? " " : c >= 0x20 && c < 0x7f ? String.fromCharCode(c) : ".";
      }
      lines.push(line.trimEnd());
    }
    return lines;
  }

  save(): Json {
    return {
      crtc: toHex(this.#crtc),
      sequencer: toHex(this.#sequencer),
      graphics: toHex(this.#graphics),
      attribute: toHex(this.#attribute),
      palette: toHex(this.#palette),
      index: [...this.#index],
      misc: this.#misc,
      pelMask: this.#pelMask,
      attributeData: this.#attributeData,
    };
  }

  load(state: Json): void {
    const r = new StateReader(this.name, state);
    this.#crtc.set(r.bytes("crtc", 256));
    this.#sequencer.set(r.bytes("sequencer", 256));
    this.#graphics.set(r.bytes("graphics", 256));
    this.#attribute.set(r.bytes("attribute", 32));
    this.#palette.set(r.bytes("palette", 768));
    this.#index = r.list("index", 6).map((x, i) => Number(x) & (i < 4 ? 0xff : 0x3ff));
    this.#misc = r.num("misc");
    this.#pelMask = r.num("pelMask");
    this.#attributeData = r.bool("attributeData");
  }
}
