/**
 * The CPUID policy of a machine: what processor the guest is shown, and so what it is allowed to use.
 *
 * A policy is written as a preset's name and overrides, comma-separated: `default,-pae,+popcnt,0x1.ecx=0x80000001`.
 * `+name` claims a feature and what it needs; `-name` denies it and what needs it; a register assignment sets raw
 * bits, unchecked, for experiments. Denying is real: control-register and EFER bits become reserved, instructions #UD.
 *
 * @module
 */
import { GuestError } from "../config.ts";
import type { CpuidResult } from "./hooks.ts";
import { ALIASES, FEATURES, NEEDS, suggest, WORD_PLACES, WORDS } from "./cpuid_features.ts";
import { type CpuidPreset, PRESETS } from "./cpuid_presets.ts";
import { cacheLeaf, topologyLeaf, xsaveLeaf } from "./cpuid_leaves.ts";
import { Cr4 } from "./state.ts";

/** What a CPUID answer depends on besides the policy. */
export interface CpuidContext {
  apicId: number;
  vcpus: number;
  cr4: number;
  xcr0: number;
  /** log2 of the APIC ids each vCPU takes up: 0 when they are dense, 1 where Xen numbers vCPUs 0, 2, 4, ... */
  apicIdShift?: number;
  /** IA32_APIC_BASE enables the local APIC (default: true); CPUID says there is none while it does not. */
  apicEnabled?: boolean;
}

/** Options of `parseCpuidSpec`. */
export interface CpuidOptions {
  /** Set bit 31 of leaf 1 ECX unless the text says otherwise. */
  hypervisor?: boolean;
}

const BRAND = "Retrovisor Virtual CPU";
const REGS = ["eax", "ebx", "ecx", "edx"] as const;

/** A raw register value that replaces what a leaf would say. */
interface RawOverride {
  readonly leaf: number;
  /** Subleaf, or -1 for all. */
  readonly sub: number;
  readonly reg: number;
  readonly value: number;
}

/** See the module comment. Immutable once parsed. */
export class CpuidPolicy {
  readonly maxBasic: number;
  readonly maxExtended: number;
  readonly physAddrBits: number;
  readonly linearAddrBits: number;
  /** AMD's side is taken wherever the two vendors' processors differ. */
  readonly amd: boolean;
  /** XCR0 bits that may be set: x87 and SSE where XSAVE is there, else 0. */
  readonly xcr0Mask: number;
  readonly #words: Uint32Array;
  readonly #names: ReadonlySet<string>;
  /** What leaf 1, which guests use to serialize, says in every context. */
  readonly #one: { ebx: number; ecx: number; edx: number; apic: boolean; xsave: boolean };
  readonly #out: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };

  /** Use `parseCpuidSpec`. `words` are the feature words, raw overrides of them included. */
  constructor(
    readonly spec: string,
    readonly preset: CpuidPreset,
    words: Uint32Array,
    private readonly raw: readonly RawOverride[],
  ) {
    this.maxBasic = rawValue(raw, 0, 0) ?? preset.maxBasic;
    this.maxExtended = rawValue(raw, 0x8000_0000, 0) ?? preset.maxExtended;
    const sizes = rawValue(raw, 0x8000_0008, 0);
    this.physAddrBits = sizes === undefined ? preset.physAddrBits : Math.min(52, Math.max(32, sizes & 0xff));
    this.#words = words;
    const names = new Set<string>();
    for (const [name, f] of FEATURES) if (words[f.word] >>> f.bit & 1) names.add(name);
    this.#names = names;
    this.#one = {
      ebx: names.has("clflush") ? 8 << 8 : 0,
      ecx: this.#word(1, -1, 2),
      edx: this.#word(1, -1, 3),
      apic: names.has("apic"),
      xsave: names.has("xsave"),
    };
    this.linearAddrBits = names.has("lm") ? 48 : 32;
    this.amd = preset.vendor === "AuthenticAMD";
    this.xcr0Mask = names.has("xsave") ? 3 : 0;
  }

  /** True when the guest is shown this feature (a name of `FEATURES`), and may use it. */
  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** Names of all features shown, in CPUID order. */
  get features(): string[] {
    return [...this.#names];
  }

  /** Answers one CPUID; the object returned is reused by the next call. Leaves out of range are all zero. */
  cpuid(leaf: number, sub: number, ctx: CpuidContext): CpuidResult {
    leaf >>>= 0;
    sub >>>= 0;
    const o = this.#out;
    o.eax =
      o.ebx =
      o.ecx =
      o.edx =
        0;
    if (leaf <= this.maxBasic) this.#basic(leaf, sub, ctx);
    else if (leaf >= 0x8000_0000 && leaf <= this.maxExtended) this.#extended(leaf, ctx);
    for (const r of this.raw) {
      if (r.leaf === leaf && (r.sub < 0 || r.sub === sub)) o[REGS[r.reg]] = r.value;
    }
    o.eax >>>= 0;
    o.ebx >>>= 0;
    o.ecx >>>= 0;
    o.edx >>>= 0;
    return o;
  }

  /** Leaf 1 EAX: stepping, model, family (SDM volume 2, figure 3-6). */
  get signature(): number {
    const { family, model, stepping } = this.preset;
    const base = Math.min(family, 15);
    return (family - base) << 20 | model >>> 4 << 16 | base << 8 | (model & 15) << 4 | stepping;
  }

  #word(leaf: number, sub: number, reg: number): number {
    const at = WORD_PLACES.findIndex((p) => p[0] === leaf && (p[1] < 0 || p[1] === sub) && p[2] === reg);
    return at < 0 ? 0 : this.#words[at];
  }

  #vendor(): void {
    const v = this.preset.vendor, o = this.#out;
    o.ebx = ascii(v, 0);
    o.edx = ascii(v, 4);
    o.ecx = ascii(v, 8);
  }

  #basic(leaf: number, sub: number, ctx: CpuidContext): void {
    const o = this.#out, one = this.#one;
    switch (leaf) {
      case 0:
        this.#vendor();
        o.eax = this.maxBasic;
        break;
      case 1:
        o.eax = this.signature;
        o.ebx = one.ebx;
        if (one.apic) o.ebx |= ctx.apicId << 24 | Math.min(255, ctx.vcpus << (ctx.apicIdShift ?? 0)) << 16;
        o.ecx = one.ecx | (ctx.cr4 & Cr4.OSXSAVE && one.xsave ? 1 << 27 : 0);
        o.edx = one.edx | (ctx.vcpus > 1 && one.apic ? 1 << 28 : 0);
        if (ctx.apicEnabled === false) o.edx &= ~(1 << 9);
        break;
      case 2:
      case 4:
        if (!this.amd) cacheLeaf(o, leaf, sub, ctx);
        break;
      case 6:
        o.eax = this.#word(6, -1, 0);
        break;
      case 7:
        if (sub !== 0) break;
        o.ebx = this.#word(7, 0, 1);
        o.ecx = this.#word(7, 0, 2);
        o.edx = this.#word(7, 0, 3);
        break;
      case 0xb:
        if (this.has("x2apic")) topologyLeaf(o, sub, ctx);
        break;
      case 0xd:
        if (this.has("xsave")) xsaveLeaf(o, sub, this.xcr0Mask, this.#word(0xd, 1, 0));
        break;
    }
  }

  #extended(leaf: number, ctx: CpuidContext): void {
    const o = this.#out;
    switch (leaf) {
      case 0x8000_0000:
        if (this.amd) this.#vendor();
        o.eax = this.maxExtended;
        break;
      case 0x8000_0001:
        if (this.amd) o.eax = this.signature;
        o.ecx = this.#word(leaf, -1, 2) | (this.amd && ctx.vcpus > 1 ? 2 : 0);
        o.edx = this.#word(leaf, -1, 3) | (this.amd ? this.#word(1, -1, 3) & 0x0183_f3ff : 0);
        break;
      case 0x8000_0002:
      case 0x8000_0003:
      case 0x8000_0004: {
        const at = (leaf - 0x8000_0002) * 16;
        for (let i = 0; i < 4; i++) o[REGS[i]] = ascii(BRAND, at + i * 4);
        break;
      }
      case 0x8000_0005:
      case 0x8000_0006:
        if (this.amd) cacheLeaf(o, leaf, 0, ctx);
        else if (leaf === 0x8000_0006) o.ecx = 0x0200_6040;
        break;
      case 0x8000_0007:
        o.edx = this.#word(leaf, -1, 3);
        break;
      case 0x8000_0008:
        o.eax = this.physAddrBits | this.linearAddrBits << 8;
        o.ebx = this.#word(leaf, -1, 1);
        if (this.amd) o.ecx = Math.min(255, ctx.vcpus - 1) | (this.has("x2apic") ? 8 << 12 : 0);
        break;
    }
  }
}

/** Four characters from position `at`, little-endian, zero past the end. */
function ascii(text: string, at: number): number {
  let v = 0;
  for (let i = 0; i < 4; i++) v |= (at + i < text.length ? text.charCodeAt(at + i) : 0) << (i * 8);
  return v >>> 0;
}

function rawValue(raw: readonly RawOverride[], leaf: number, reg: number): number | undefined {
  return raw.findLast((r) => r.leaf === leaf && r.reg === reg && r.sub <= 0)?.value;
}

/** Parses a policy's text (see the module comment). Throws `GuestError` naming what is wrong and what is near it. */
export function parseCpuidSpec(spec: string, options: CpuidOptions = {}): CpuidPolicy {
  if (spec.length > 4096) {
    throw new GuestError("Cannot use this cpuid policy: its text is longer than 4096 characters");
  }
  const [first, ...rest] = spec.split(",").map((s) => s.trim());
  const presetName = first === "" ? "default" : first;
  if (!Object.hasOwn(PRESETS, presetName)) {
    throw new GuestError(
      `Cannot use cpuid policy "${spec}": it must start with a preset (${
        Object.keys(PRESETS).join(", ")
      }), not "${first}"`,
    );
  }
  const preset = PRESETS[presetName];
  const on = new Set<string>();
  for (const f of preset.features.split(" ")) claim(on, f);
  if (options.hypervisor) on.add("hypervisor");
  const raw: RawOverride[] = [];
  for (const item of rest) {
    if (item === "") continue;
    if (item.includes("=")) raw.push(parseRaw(item));
    else if (item[0] === "+") claim(on, featureName(item.slice(1), true));
    else if (item[0] === "-") deny(on, featureName(item.slice(1), false));
    else {
      throw new GuestError(
        `Cannot use cpuid override "${item}": write +feature, -feature or 0xLEAF[.SUB].reg=VALUE`,
      );
    }
  }
  const words = new Uint32Array(WORDS);
  for (const name of on) {
    const f = FEATURES.get(name)!;
    words[f.word] |= 1 << f.bit;
  }
  for (const r of raw) {
    const at = WORD_PLACES.findIndex((p) =>
      p[0] === r.leaf && p[2] === r.reg && (p[1] < 0 || r.sub < 0 || p[1] === r.sub)
    );
    if (at >= 0) words[at] = r.value;
  }
  return new CpuidPolicy(spec, preset, words, raw);
}

function featureName(given: string, wanted: boolean): string {
  const name = ALIASES[given.toLowerCase()] ?? given.toLowerCase();
  const f = FEATURES.get(name);
  if (f === undefined) {
    const near = suggest(name, FEATURES.keys());
    const hint = near.length > 0
      ? `did you mean ${near.join(" or ")}?`
      : "names are those of Linux's /proc/cpuinfo";
    throw new GuestError(`Cannot use cpuid feature "${given}": there is no such feature; ${hint}`);
  }
  if (wanted && !f.built) {
    throw new GuestError(
      `Cannot claim cpuid feature "${given}": this build does not implement it; leave it out`,
    );
  }
  return name;
}

function claim(on: Set<string>, name: string): void {
  if (on.has(name)) return;
  on.add(name);
  for (const need of NEEDS[name] ?? []) claim(on, need);
}

function deny(on: Set<string>, name: string): void {
  if (!on.delete(name)) return;
  for (const [dependent, needs] of Object.entries(NEEDS)) if (needs.includes(name)) deny(on, dependent);
}

function parseRaw(item: string): RawOverride {
  const m =
    /^(0x[0-9a-f]{1,8}|\d{1,9})(?:\.(0x[0-9a-f]{1,8}|\d{1,9}))?\.(eax|ebx|ecx|edx)=(0x[0-9a-f]{1,8}|\d{1,10})$/i
      .exec(item);
  if (m === null || Number(m[4]) > 0xffff_ffff) {
    throw new GuestError(
      `Cannot use cpuid override "${item}": write it as 0xLEAF[.SUB].reg=VALUE with reg eax, ebx, ecx or edx`,
    );
  }
  const reg = (REGS as readonly string[]).indexOf(m[3].toLowerCase());
  return { leaf: Number(m[1]), sub: m[2] === undefined ? -1 : Number(m[2]), reg, value: Number(m[4]) };
}
