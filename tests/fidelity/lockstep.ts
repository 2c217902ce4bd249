/**
 * `deno task fidelity --lockstep`: one guest on two engines side by side, the interpreter and the compiler, compared
 * every few thousand instructions; the first instruction that leaves them different is named.
 *
 * @module
 */
import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from "iced-x86";
import { buildGuest, isGuest } from "../../cli/guest.ts";
import { DEFAULT_CONFIG, type GuestImage, type MachineConfig } from "../../core/config.ts";
import { type Inputs, NoInputs } from "../../core/inputs.ts";
import { createMachine, type RetrovisorMachine } from "../../core/machine.ts";
import { PAGE_SIZE } from "../../core/mmu/physmem.ts";
import { demoImage } from "../../guests/demo/image.ts";
import { differingRegisters, type RegisterDifference } from "../../replay/diff/state.ts";

/** What to run. */
export interface Lockstep {
  config: MachineConfig;
  images: GuestImage[];
  /** Inputs of each machine. */
  inputs: (engine: number) => Inputs;
  /** How often a block runs before it is compiled, by engine; 0: never. */
  thresholds: readonly [number, number];
  /** Instructions between comparisons, and in all. */
  slice: number;
  most: number;
}

/** Where they part. */
export interface Parting {
  /** Instructions retired before the instruction that differs. */
  icount: number;
  instruction: string;
  registers: RegisterDifference[];
  /** Guest-physical addresses of bytes that differ (at most 16). */
  memory: number[];
}

type Pair = readonly [RetrovisorMachine, RetrovisorMachine];

function pair(l: Lockstep): Pair {
  const make = (n: number) =>
    createMachine(l.config, l.images, l.inputs(n), { jitThreshold: l.thresholds[n] });
  return [make(0), make(1)];
}

/** What differs; pages that neither has written since the last comparison are taken to be equal. */
function compare([a, b]: Pair): Omit<Parting, "icount" | "instruction"> | null {
  const registers = differingRegisters(a, b), memory: number[] = [];
  const x = new Int32Array(a.mem.memory.buffer), y = new Int32Array(b.mem.memory.buffer);
  for (const gfn of new Set([...a.takeDirtyPages(), ...b.takeDirtyPages()])) {
    const p = a.mem.hostPage[gfn] * PAGE_SIZE / 4, q = b.mem.hostPage[gfn] * PAGE_SIZE / 4;
    let same = 0;
    while (same < PAGE_SIZE / 4 && x[p + same] === y[q + same]) same++;
    if (same === PAGE_SIZE / 4) continue;
    for (let at = gfn * PAGE_SIZE; at < (gfn + 1) * PAGE_SIZE && memory.length < 16; at++) {
      if (a.mem.read8(at) !== b.mem.read8(at)) memory.push(at);
    }
  }
  const alike = a.icount === b.icount && a.outcome?.kind === b.outcome?.kind;
  return alike && registers.length === 0 && memory.length === 0 ? null : { registers, memory };
}

function runTo(machines: Pair, icount: number): void {
  for (const m of machines) if (m.outcome === null) m.runUntil(icount);
}

/**
 * Runs a guest on both engines. @returns where they part, null when they do not; and how far they came
 */
export function lockstep(l: Lockstep): { parting: Parting | null; icount: number } {
  const machines = pair(l);
  compare(machines);
  for (let n = 0; n < l.most;) {
    const to = Math.min(l.most, n + l.slice);
    runTo(machines, to);
    if (compare(machines) !== null) return { parting: bisect(l, n, to), icount: n };
    if (machines[0].outcome !== null || machines[0].icount < to) break;
    n = to;
  }
  return { parting: null, icount: machines[0].icount };
}

/** Runs anew to the last equal place, in the same slices, and halves the way from there. */
function bisect(l: Lockstep, equal: number, different: number): Parting {
  const again = (): Pair => {
    const machines = pair(l);
    compare(machines);
    for (let n = 0; n < equal;) runTo(machines, n = Math.min(equal, n + l.slice));
    compare(machines);
    return machines;
  };
  let low = equal, high = different;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2), machines = again();
    runTo(machines, middle);
    if (compare(machines) === null) low = middle;
    else high = middle;
  }
  const machines = again();
  runTo(machines, low);
  const instruction = nextInstruction(machines[0]);
  compare(machines);
  runTo(machines, high);
  return { icount: low, instruction, ...(compare(machines) ?? { registers: [], memory: [] }) };
}

function nextInstruction(m: RetrovisorMachine): string {
  const { s, code, mmu } = m.cpu, rip = m.where().rip, bytes = new Uint8Array(15);
  const base = code.linear(s.code64 ? s.rip : s.rip % 2 ** 32);
  for (let i = 0; i < 15; i++) {
    const gpa = mmu.tryTranslate(base + i);
    if (gpa >= 0) bytes[i] = m.mem.read8(gpa);
  }
  const mode = s.code64 ? 64 : s.segAttr(1) & 0x400 ? 32 : 16;
  const decoder = new Decoder(mode, bytes, DecoderOptions.None),
    formatter = new Formatter(FormatterSyntax.Nasm);
  decoder.ip = rip;
  const instruction = decoder.decode(), text = formatter.format(instruction);
  for (const x of [instruction, decoder, formatter]) x.free();
  return `0x${rip.toString(16)}: ${text}`;
}

/** The mode of `deno task fidelity`. @returns its exit code */
export function lockstepMain(words: string[], options: { most: number; slice: number; jit: number }): number {
  const built = buildGuest(words.map(String));
  const demo = { role: "kernel" as const, name: "demo", bytes: demoImage() };
  const { config, images } = isGuest(built)
    ? built
    : { config: { ...DEFAULT_CONFIG, name: "demo", ...built.config }, images: [demo] };
  const { most, slice, jit } = options;
  const started = performance.now();
  const { parting, icount } = lockstep({
    config,
    images,
    inputs: () => new NoInputs(),
    thresholds: [0, jit],
    slice,
    most,
  });
  if (parting === null) {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(
      `${config.name}: both engines agree on ${icount} instructions, compared every ${slice} (${seconds} s).`,
    );
    return 0;
  }
  console.log(`${config.name}: the engines part at icount ${parting.icount}, ${parting.instruction}`);
  for (const r of parting.registers) console.log(`  ${r.name}: interpreter ${r.a}, compiler ${r.b}`);
  for (const gpa of parting.memory) console.log(`  memory at 0x${gpa.toString(16)} differs`);
  return 1;
}
