/**
 * Hypercalls with hostile numbers, pointers and sizes, made by code of a guest: a machine that runs them must not throw,
 * must not take more of the host than a bound, and must end in one state in every engine and in replay.
 *
 * The guest works off a list: it stores a word somewhere, loads the argument registers, calls, and keeps the result.
 *
 * @module
 */
import { HOSTILE_SIZES, HYPERCALLS } from "../hostile_calls.ts";
import { DEFAULT_CONFIG, type MachineConfig } from "../../core/config.ts";
import { type Inputs, NoInputs } from "../../core/inputs.ts";
import { createMachine } from "../../core/machine.ts";
import { replay } from "../../replay/replayer.ts";
import { record, type RunResult } from "../../replay/runner.ts";
import { MemoryStore } from "../../traces/store.ts";
import { Random } from "./random.ts";

/** Hypercalls of one guest. */
const CALLS_MAX = 300;
const CODE = 0x1000, AREA = 0x6000, AREA_BYTES = 0x2000, LIST = 0x1_0000;
/** Most that one guest may make the host write and take. */
const RECORDING_MAX = 64 << 20, MILLISECONDS_MAX = 60_000;
const INSTRUCTIONS_MAX = 200_000;

const WILD = [0x7fff_ffffn, 0xffff_ffffn, 0x8000_0000n, 0xfefffn, 0xfeffcn, 0xfeff_f000n, 0xfeff_c000n]
  .concat([1n << 47n, -(1n << 47n), 1n << 52n, -1n, -4096n, 0xffff_fff8n, 0x40_0000n, 0x3f_fff8n]);

const bytesOf = (...parts: (number | Uint8Array)[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((p) => typeof p === "number" ? [p] : [...p]));
const u32 = (n: number) => new Uint8Array(Uint32Array.of(n).buffer);

/** The loop in 64-bit code: RBX goes through the list of 80-byte entries. */
const code64 = (end: number): Uint8Array => {
  const loop = [
    [0x48, 0x8b, 0x4b, 0x38, 0x48, 0x8b, 0x53, 0x40, 0x48, 0x89, 0x11], // mov rcx,[rbx+38h]; mov rdx,[rbx+40h]; mov [rcx],rdx
    [0x48, 0x8b, 0x03, 0x48, 0x8b, 0x7b, 0x08, 0x48, 0x8b, 0x73, 0x10], // mov rax,[rbx]; mov rdi,[rbx+8]; mov rsi,[rbx+10h]
    [0x48, 0x8b, 0x53, 0x18, 0x4c, 0x8b, 0x53, 0x20, 0x4c, 0x8b, 0x43, 0x28], // mov rdx, r10, r8
    [0x4c, 0x8b, 0x4b, 0x30, 0x0f, 0x01, 0xd9], // mov r9,[rbx+30h]; vmmcall
    [0x48, 0x89, 0x43, 0x48, 0x48, 0x83, 0xc3, 0x50, 0x48, 0x39, 0xeb], // mov [rbx+48h],rax; add rbx,50h; cmp rbx,rbp
  ].flat();
  return bytesOf(0xbb, u32(LIST), 0xbd, u32(end), ...loop, 0x72, 256 - loop.length - 2, 0xf4); // jb loop; hlt
};

/** The same in 32-bit code: ESP goes through the list of 40-byte entries. */
const code32 = (end: number): Uint8Array => {
  const loop = bytesOf(
    ...[0x8b, 0x4c, 0x24, 0x1c, 0x8b, 0x54, 0x24, 0x20, 0x89, 0x11], // mov ecx,[esp+1ch]; mov edx,[esp+20h]; mov [ecx],edx
    ...[0x8b, 0x04, 0x24, 0x8b, 0x5c, 0x24, 0x04, 0x8b, 0x4c, 0x24, 0x08], // mov eax, ebx, ecx
    ...[0x8b, 0x54, 0x24, 0x0c, 0x8b, 0x74, 0x24, 0x10, 0x8b, 0x7c, 0x24, 0x14], // mov edx, esi, edi
    ...[0x8b, 0x6c, 0x24, 0x18, 0x0f, 0x01, 0xd9], // mov ebp,[esp+18h]; vmmcall
    ...[0x89, 0x44, 0x24, 0x24, 0x83, 0xc4, 0x28, 0x81, 0xfc], // mov [esp+24h],eax; add esp,28h; cmp esp,end
    u32(end),
  );
  return bytesOf(0xbc, u32(LIST), loop, 0x72, 256 - loop.length - 2, 0xf4); // jb loop; hlt
};

/** A value for an argument: into the area that holds half-plausible structures, a size, or anything. */
function argument(r: Random): bigint {
  const kind = r.below(8);
  if (kind < 4) return BigInt(AREA + r.below(AREA_BYTES / 8) * 8);
  if (kind < 6) return BigInt(r.pick(HOSTILE_SIZES));
  return kind === 6 ? r.pick(WILD) : r.u64();
}

/** One hypercall: its number and six arguments. */
function call(r: Random): bigint[] {
  const nr = r.chance(0.05) ? r.below(256) : r.pick(HYPERCALLS);
  const args = Array.from({ length: 6 }, () => argument(r));
  args[0] = BigInt(r.chance(0.8) ? r.below(32) : r.pick(HOSTILE_SIZES));
  // A multicall takes a list and its length; most that sched_op does ends the run or the turn.
  if (nr === 13) args.splice(0, 2, BigInt(AREA), r.chance(0.02) ? argument(r) : BigInt(r.below(8)));
  if (nr === 29 && !r.chance(0.02)) args[0] = 0n;
  return [BigInt(nr), ...args];
}

/** Where the guest stores a word before a call: its area, and pages that it shares with Xen. */
const target = (r: Random): bigint =>
  BigInt(
    r.chance(0.8)
      ? AREA + r.below(AREA_BYTES / 8) * 8
      : r.pick([0xfeff_f000, 0xfeff_c000]) + r.below(512) * 8,
  );

/** A guest of one seed. */
export function hostileGuest(seed: number): { config: MachineConfig; image: Uint8Array; calls: number } {
  const r = new Random(seed, 3), is64 = r.chance(0.5), width = is64 ? 8 : 4, calls = 1 + r.below(CALLS_MAX);
  const end = LIST + calls * 10 * width,
    image = new Uint8Array(end - CODE),
    view = new DataView(image.buffer);
  image.set(is64 ? code64(end) : code32(end));
  for (let at = AREA; at < AREA + AREA_BYTES; at += 8) view.setBigUint64(at - CODE, argument(r), true);
  for (let n = 0; n < calls; n++) {
    const entry = [...call(r), target(r), argument(r)];
    entry.forEach((v, i) => {
      const at = LIST - CODE + (n * 10 + i) * width;
      if (is64) view.setBigUint64(at, BigInt.asUintN(64, v), true);
      else view.setUint32(at, Number(BigInt.asUintN(32, v)), true);
    });
  }
  const config: MachineConfig = {
    ...DEFAULT_CONFIG,
    name: `hostile ${seed}`,
    type: "flat",
    xen: true,
    platform: r.pick(["none", "pc"] as const),
    vcpus: 1 + r.below(2),
    memoryBytes: 4 << 20,
    flat: { load: CODE, entry: CODE, mode: is64 ? "long" : "prot32" },
  };
  return { config, image, calls };
}

/** What running one guest in every way came to. */
export interface HostileRun {
  hypercalls: number;
  outcome: string;
  /** What is wrong, in a sentence; null: nothing. */
  wrong: string | null;
}

/** Runs the guest of a seed interpreted, compiled at once, and replayed. @throws whatever the machine throws */
export async function runHostile(seed: number): Promise<HostileRun> {
  const { config, image } = hostileGuest(seed),
    images = [{ role: "kernel" as const, name: "hostile", bytes: image }];
  const run = async (jitThreshold: number): Promise<[RunResult, MemoryStore]> => {
    const store = new MemoryStore();
    const result = await record(config, images, new NoInputs(), store, {
      createMachine: (c, i, inputs: Inputs) => createMachine(c, i, inputs, { jitThreshold }),
      maxInstructions: INSTRUCTIONS_MAX,
    });
    return [result, store];
  };
  const [plain, store] = await run(0), [compiled] = await run(1);
  const essence = (r: RunResult) => [r.outcome.kind, r.icount, r.exits, r.hypercalls, r.stateHash].join(" ");
  const done = { hypercalls: plain.hypercalls, outcome: plain.outcome.kind };
  const wrong = (what: string): HostileRun => ({ ...done, wrong: what });
  if (essence(plain) !== essence(compiled)) {
    return wrong(`interpreted: ${essence(plain)}; compiled: ${essence(compiled)}`);
  }
  const again = await replay(store, {
    createMachine: (c, i, inputs: Inputs) => createMachine(c, i, inputs, { jitThreshold: 1 }),
  });
  if (again.divergence !== null) return wrong(again.divergence.message);
  if (again.stateHash !== plain.stateHash) return wrong("replay ends in another state");
  if (plain.hostMs > MILLISECONDS_MAX) return wrong(`it took ${Math.round(plain.hostMs)} ms`);
  const written = [...store.files.values()].reduce((n, f) => n + f.length, 0);
  if (written > RECORDING_MAX) return wrong(`its recording has ${written} bytes`);
  if (plain.outcome.kind === "unimplemented") return wrong(plain.outcome.message);
  return { ...done, wrong: null };
}

/** Runs guests until the time is over. Returns the exit code. */
export async function hypercallMain(seconds: number, seed: number): Promise<number> {
  const end = performance.now() + seconds * 1000, outcomes = new Map<string, number>();
  let guests = 0, hypercalls = 0;
  for (let own = seed; performance.now() < end; own++) {
    const run = await runHostile(own).catch((e) => {
      throw new Error(`Guest of seed ${own}`, { cause: e });
    });
    guests++;
    hypercalls += run.hypercalls;
    outcomes.set(run.outcome, (outcomes.get(run.outcome) ?? 0) + 1);
    if (run.wrong !== null) {
      console.log(`seed ${own}: ${run.wrong}`);
      return 1;
    }
  }
  const ends = [...outcomes].map(([kind, n]) => `${n} ${kind}`).join(", ");
  console.log(
    `seeds ${seed} to ${seed + guests - 1}: ${guests} guests, ${hypercalls} hypercalls, ended ${ends}`,
  );
  return 0;
}
