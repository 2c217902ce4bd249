/**
 * The decoder: bytes to one instruction record.
 *
 * Source: Intel SDM volume 2, chapter 2 (Instruction Format). Instructions longer than 15 bytes raise #GP.
 *
 * @module
 */
import * as L from "../../layout.ts";
import { OPF_MEM, OPF_REP, OPF_REPNE, REC } from "../insn.ts";
import { Seg } from "../state.ts";
import { SYS_OPS } from "../system/ops.ts";
import type { Form } from "../form.ts";
import { ENDS_BLOCK, LINKED } from "./block_ends.ts";
import {
  type Context,
  effectiveOpsize,
  type Entry,
  EntryFlag,
  Field,
  formOf,
  type ParsedSpec,
  variantIndex,
} from "./entry.ts";
import { MODE_FLAT, MODE_MMX, MODE_SHIFT, MODE_SSE, MODE_STACK32 } from "./mode_bits.ts";
import {
  arpl,
  cmpxchg16b,
  div64,
  idiv64,
  map38,
  map3a,
  mmxOff,
  movsxd,
  nop,
  pause,
  primary,
  secondary,
  sseOff,
  undefinedEntry,
} from "./maps.ts";

export { MODE_FLAT, MODE_MMX, MODE_SHIFT, MODE_SSE, MODE_STACK32 };

/** What decoding one instruction came to. */
export const Decoded = {
  OK: 0,
  /** More bytes are needed than were given. */
  TRUNCATED: 1,
  /** Longer than 15 bytes: #GP(0). */
  TOO_LONG: 2,
} as const;

const OP_X87 = SYS_OPS.indexOf("x87"), OP_SSE_FP = SYS_OPS.indexOf("sse_fp");

const BASE16 = [3, 3, 5, 5, -1, -1, 5, 3], INDEX16 = [6, 7, 6, 7, 6, 7, -1, -1];

/** Decodes into fields of itself; `write` puts them into a record. One object is reused. */
export class Decoder {
  /** Length in bytes of the instruction just decoded. */
  length = 0;
  entry: Entry = undefinedEntry;
  /** Name of the semantic function used. */
  name = "";
  readonly context: Context = {
    opsize: 32,
    addr: "F",
    stack: "F",
    code64: false,
    isMem: false,
    rep: 0,
    asize: 32,
  };
  /** True when no instruction may follow in the same block. */
  endsBlock = false;
  opsize = 32;
  #buf: Uint8Array = new Uint8Array(0);
  #pos = 0;
  #end = 0;
  #overrun = false;
  #rex = 0;
  #modrm = 0;
  #base = -1;
  #index = -1;
  #scale = 0;
  #ripRelative = false;
  #dispLo = 0;
  #dispHi = 0;
  #immLo = 0;
  #immHi = 0;
  #seg = -1;
  #defaultSeg: number = Seg.DS;
  #lock = false;
  #prefix66 = false;
  #repPrefix = 0;
  #opcode = 0;
  #mode = 0;
  #map = 0;
  #jump = false;
  #moffs = false;

  /**
   * @param has answers whether the CPUID policy has a feature
   */
  constructor(readonly has: (feature: string) => boolean) {}

  /**
   * Decodes the instruction at buf[pos]; at most `avail` bytes may be looked at.
   * @param mode decoding mode word
   * @returns a `Decoded` value; undefined encodings decode as the system operation "ud"
   */
  decode(buf: Uint8Array, pos: number, avail: number, mode: number): number {
    this.#buf = buf;
    this.#mode = mode;
    this.#pos = pos;
    this.#end = pos + Math.min(avail, 15);
    this.#overrun = false;
    const c = this.context, size = mode & 3;
    c.code64 = size === 2;
    c.opsize = size === 0 ? 16 : 32;
    c.asize = size === 0 ? 16 : size === 1 ? 32 : 64;
    c.rep = 0;
    c.isMem = false;
    this.#rex = 0;
    this.#base = this.#index = -1;
    this.#scale = 0;
    this.#ripRelative =
      this.#lock =
      this.#prefix66 =
      this.#jump =
      this.#moffs =
        false;
    this.#dispLo =
      this.#dispHi =
      this.#immLo =
      this.#immHi =
        0;
    this.#seg = -1;
    this.#defaultSeg = Seg.DS;
    this.#repPrefix = 0;
    let op = this.#prefixes(size);
    if (this.#rex & 8) c.opsize = 64;
    else if (this.#prefix66) c.opsize = size === 0 ? 32 : 16;
    let spec: ParsedSpec;
    this.#map = 0;
    if (op !== 0x0f) spec = this.#primarySpec(op);
    else {
      op = this.#u8();
      if (op === 0x38) {
        this.#map = 1;
        spec = map38[op = this.#u8()];
      } else if (op === 0x3a) {
        this.#map = 2;
        spec = map3a[op = this.#u8()];
      } else spec = secondary[op];
    }
    this.#opcode = op;
    this.#finish(spec, mode);
    this.length = this.#pos - pos;
    if (this.#overrun) return avail >= 15 ? Decoded.TOO_LONG : Decoded.TRUNCATED;
    return Decoded.OK;
  }

  #prefixes(size: number): number {
    const c = this.context;
    for (;;) {
      const b = this.#u8();
      switch (b) {
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
          if (size !== 2) this.#seg = b >> 3 & 3;
          break;
        case 0x64:
        case 0x65:
          this.#seg = b - 0x60;
          break;
        case 0x66:
          this.#prefix66 = true;
          break;
        case 0x67:
          c.asize = size === 1 ? 16 : 32;
          break;
        case 0xf0:
          this.#lock = true;
          break;
        case 0xf2:
        case 0xf3:
          this.#repPrefix = b;
          break;
        default:
          if (size === 2 && (b & 0xf0) === 0x40) {
            this.#rex = b;
            if (this.#overrun) return 0;
            continue;
          }
          return b;
      }
      // A REX prefix counts only directly before the opcode.
      this.#rex = 0;
      if (this.#overrun) return 0;
    }
  }

  #primarySpec(op: number): ParsedSpec {
    if (op === 0x63) return this.context.code64 ? movsxd : arpl;
    if (op === 0x90 && this.#repPrefix === 0xf3) return pause; // whatever REX.B says
    if (op === 0x90 && !(this.#rex & 1)) return nop;
    return primary[op];
  }

  /** Groups, ModRM, immediates, and what the entry's flags demand. */
  #finish(start: ParsedSpec, mode: number): void {
    let spec = start, haveModrm = false;
    const c = this.context;
    while (spec !== null && "by" in spec) {
      if (spec.by === "prefix") {
        const i = this.#repPrefix === 0xf3 ? 2 : this.#repPrefix === 0xf2 ? 3 : this.#prefix66 ? 1 : 0;
        spec = spec.items[i];
        continue;
      }
      if (!haveModrm) this.#modrm = this.#u8();
      haveModrm = true;
      const m = this.#modrm;
      spec = spec.items[spec.by === "reg" ? m >> 3 & 7 : spec.by === "rm" ? m & 7 : m >= 0xc0 ? 1 : 0];
    }
    let entry: Entry = spec ?? undefinedEntry;
    if (entry.hasModrm && !haveModrm) {
      this.#modrm = this.#u8();
      haveModrm = true;
    }
    this.#addressing(mode);
    if (haveModrm) {
      const first = entry.operands[0];
      c.isMem = this.#modrm < 0xc0 && !(first !== undefined && first === "Rc");
      if (c.isMem) this.#memory();
    }
    entry = this.#checked(entry);
    this.opsize = entry.bits & EntryFlag.S8 ? 8 : effectiveOpsize(entry, c);
    if (entry.bits & EntryFlag.REP) c.rep = this.#repPrefix === 0xf3 ? 1 : this.#repPrefix === 0xf2 ? 2 : 0;
    for (const o of entry.immediates) this.#immediate(o);
    this.entry = entry;
    this.#segmentKind(mode);
    this.endsBlock = ENDS_BLOCK.has(this.name) || c.rep !== 0;
  }

  /** Replaces an entry that is not allowed here by #UD; switches to the 64-bit division and CMPXCHG16B. */
  #checked(entry: Entry): Entry {
    const c = this.context;
    this.name = entry.name;
    const { bits } = entry;
    if (bits & (c.code64 ? EntryFlag.I64 : EntryFlag.O64)) return this.#ud();
    if (bits & (c.isMem ? EntryFlag.REG : EntryFlag.MEM)) return this.#ud();
    if (bits & EntryFlag.REPLACED) {
      if (entry.name === "cmpxchg8b") {
        if (c.opsize === 64) return this.#checked(cmpxchg16b);
        if (!this.has("cx8")) return this.#ud();
      } else if (c.opsize === 64) return this.#checked(entry.name === "div" ? div64 : idiv64);
    }
    if (this.#lock && !(bits & EntryFlag.LOCK && c.isMem)) return this.#ud();
    if (entry.feature !== "" && !this.has(entry.feature)) {
      if (entry.otherwise === "") return this.#ud();
      this.name = entry.otherwise;
    }
    if (entry.vector !== "" && !(this.#mode & (entry.vector === "sse" ? MODE_SSE : MODE_MMX))) {
      this.name = "sys";
      return entry.vector === "sse" ? sseOff : mmxOff;
    }
    return entry;
  }

  #ud(): Entry {
    this.name = "sys";
    return undefinedEntry;
  }

  /** Address and stack kinds from the mode, before a segment override is known to matter. */
  #addressing(mode: number): void {
    const c = this.context;
    c.stack = c.code64 ? "L" : (mode & (MODE_FLAT | MODE_STACK32)) === (MODE_FLAT | MODE_STACK32) ? "F" : "G";
  }

  #segmentKind(mode: number): void {
    const c = this.context, seg = this.#seg;
    if (c.code64) c.addr = c.asize === 64 && seg < Seg.FS ? "L" : "G";
    else {
      const flat = (mode & MODE_FLAT) !== 0 && (mode & 3) === 1;
      c.addr = flat && c.asize === 32 && seg !== Seg.CS && seg < Seg.FS ? "F" : "G";
    }
  }

  #memory(): void {
    const c = this.context, mod = this.#modrm >> 6, rm = this.#modrm & 7;
    if (c.asize === 16) return this.#memory16(mod, rm);
    let base = rm | (this.#rex & 1) << 3, disp = mod === 1 ? 1 : mod === 2 ? 4 : 0;
    if (rm === 4) {
      const sib = this.#u8();
      this.#scale = sib >> 6;
      const index = sib >> 3 & 7 | (this.#rex & 2) << 2;
      this.#index = index === 4 ? -1 : index;
      base = sib & 7 | (this.#rex & 1) << 3;
      if ((sib & 7) === 5 && mod === 0) {
        base = -1;
        disp = 4;
      }
    } else if (rm === 5 && mod === 0) {
      base = -1;
      disp = 4;
      this.#ripRelative = c.code64;
    }
    this.#base = base;
    if (base === 4 || base === 5) this.#defaultSeg = Seg.SS;
    if (disp === 1) this.#setDisp(this.#u8() << 24 >> 24);
    else if (disp === 4) this.#setDisp(this.#u32() | 0);
  }

  #memory16(mod: number, rm: number): void {
    this.#base = BASE16[rm];
    this.#index = INDEX16[rm];
    let disp = mod;
    if (rm === 6 && mod === 0) {
      this.#base = -1;
      disp = 2;
    }
    if (this.#base === 5) this.#defaultSeg = Seg.SS;
    if (disp === 1) this.#setDisp(this.#u8() << 24 >> 24);
    else if (disp === 2) this.#setDisp(this.#u16());
  }

  #setDisp(v: number): void {
    this.#dispLo = v | 0;
    this.#dispHi = v < 0 ? -1 : 0;
  }
  #setImm(v: number): void {
    this.#immLo = v | 0;
    this.#immHi = v < 0 ? -1 : 0;
  }

  /** Reads what an operand takes from the instruction stream behind ModRM. */
  #immediate(o: string): void {
    const size = this.opsize;
    switch (o) {
      case "1":
        return this.#setImm(1);
      case "Ib":
      case "I8":
        return this.#setImm(this.#u8());
      case "Is":
        return this.#setImm(this.#u8() << 24 >> 24);
      case "Iw":
        return this.#setImm(this.#u16());
      case "Iz":
        return this.#setImm(size === 16 ? this.#u16() << 16 >> 16 : this.#u32() | 0);
      case "Iv":
        if (size === 16) return this.#setImm(this.#u16());
        this.#immLo = this.#u32() | 0;
        this.#immHi = size === 64 ? this.#u32() | 0 : 0;
        return;
      case "Ie":
        this.#immLo = this.#u16();
        this.#immHi = this.#u8();
        return;
      case "Ap":
        this.#immLo = size === 16 ? this.#u16() : this.#u32() | 0;
        this.#immHi = this.#u16();
        return;
      case "Jb":
        this.#jump = true;
        return this.#setImm(this.#u8() << 24 >> 24);
      case "Jz":
        this.#jump = true;
        return this.#setImm(size === 16 ? this.#u16() << 16 >> 16 : this.#u32() | 0);
      case "Ob":
      case "Ov":
        this.#moffs = true;
        this.context.isMem = true;
        if (this.context.asize === 16) this.#setDisp(this.#u16());
        else {
          this.#dispLo = this.#u32() | 0;
          this.#dispHi = this.context.asize === 64 ? this.#u32() | 0 : 0;
        }
    }
  }

  /** Handler variant and form of what was decoded. */
  form(): Form {
    return formOf(this.entry, this.context, this.name);
  }
  /** @see variantIndex; entries replaced by their fallback share no slot with the original: the caller checks `name`. */
  variant(): number {
    return variantIndex(this.context);
  }

  /** Fills a record in, all fields but the handler and REM. `rip` is the instruction's offset in the code segment. */
  write(u8: Uint8Array, view: DataView, at: number, rip: number): void {
    const c = this.context, e = this.entry;
    const reg = this.#modrm >> 3 & 7 | (this.#rex & 4) << 1, rm = this.#modrm & 7 | (this.#rex & 1) << 3;
    let r0 = 0, r1 = 0;
    for (const f of e.fields) {
      const bytes = f >= 8 && !this.#rex;
      switch (f & 7) {
        case Field.V:
          r0 = reg * 16;
          break;
        case Field.G:
          r0 = gprField(reg, bytes);
          break;
        case Field.P:
          r0 = (reg & 7) * 16;
          break;
        case Field.Z:
          r0 = gprField(this.#opcode & 7 | (this.#rex & 1) << 3, bytes);
          break;
        case Field.W:
          r1 = rm * 16;
          break;
        case Field.Q:
          r1 = (rm & 7) * 16;
          break;
        default:
          r1 = gprField(rm, bytes);
      }
    }
    u8[at + REC.R0] = e.bits & EntryFlag.NUMBER ? reg * 8 : r0;
    u8[at + REC.R1] = r1;
    u8[at + REC.BASE] = this.#base < 0 ? L.ZERO : this.#base * 8;
    u8[at + REC.INDEX] = this.#index < 0 ? L.ZERO : this.#index * 8;
    u8[at + REC.SCALE] = this.#scale;
    const seg = this.#seg >= 0 ? this.#seg : this.#moffs ? Seg.DS : this.#defaultSeg;
    u8[at + REC.SEG] = seg * L.SEG_SIZE;
    u8[at + REC.LEN] = this.length;
    view.setInt32(at + REC.RIP_LO, rip | 0, true);
    view.setInt32(at + REC.RIP_HI, Math.floor(rip / 0x1_0000_0000) | 0, true);
    u8[at + REC.OPSIZE] = this.opsize >> 3;
    u8[at + REC.ADDRSIZE] = c.asize >> 3;
    let op = e.sys >= 0 ? e.sys : e.fallback >= 0 ? e.fallback : 0;
    if (c.isMem) op |= OPF_MEM;
    if (this.#repPrefix === 0xf3) op |= OPF_REP;
    else if (this.#repPrefix === 0xf2) op |= OPF_REPNE;
    view.setUint16(at + REC.OP, op, true);
    this.#writeWide(view, at, rip);
  }

  #writeWide(view: DataView, at: number, rip: number): void {
    const e = this.entry, next = rip + this.length;
    let dlo = this.#dispLo, dhi = this.#dispHi, ilo = this.#immLo, ihi = this.#immHi;
    if (this.#ripRelative) {
      const target = next + this.#dispLo;
      dlo = target | 0;
      dhi = Math.floor(target / 0x1_0000_0000) | 0;
    }
    if (this.#jump) {
      let target = next + this.#immLo;
      if (!this.context.code64) target = this.opsize === 16 ? target & 0xffff : target >>> 0;
      ilo = target | 0;
      ihi = Math.floor(target / 0x1_0000_0000) | 0;
    } else if (e.sys === OP_SSE_FP || e.fallback === OP_SSE_FP) {
      const prefix = this.#repPrefix === 0xf3 ? 2 : this.#repPrefix === 0xf2 ? 3 : this.#prefix66 ? 1 : 0;
      ihi = this.#opcode | prefix << 8 | this.#map << 12;
    } else if (e.sys === OP_X87 || e.fallback === OP_X87) ilo = this.#opcode | this.#modrm << 8;
    else if (e.imm >= 0) ilo = e.imm;
    if (LINKED.has(this.name)) dlo = dhi = 0;
    view.setInt32(at + REC.DISP, dlo, true);
    view.setInt32(at + REC.DISP + 4, dhi, true);
    view.setInt32(at + REC.IMM, ilo, true);
    view.setInt32(at + REC.IMM + 4, ihi, true);
  }

  #u8(): number {
    if (this.#pos >= this.#end) {
      this.#overrun = true;
      return 0;
    }
    return this.#buf[this.#pos++];
  }
  #u16(): number {
    return this.#u8() | this.#u8() << 8;
  }
  #u32(): number {
    return (this.#u16() | this.#u16() << 16) >>> 0;
  }
}

/** Record field of a general register: byte registers 4-7 without REX are AH CH DH BH. */
function gprField(n: number, legacyByte: boolean): number {
  return legacyByte && n >= 4 && n < 8 ? (n - 4) * 8 + 1 : n * 8;
}
