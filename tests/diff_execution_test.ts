import { assert, assertEquals, assertGreater } from "@std/assert";
import { DEFAULT_CONFIG } from "../core/config.ts";
import type { BitFlip } from "../core/faults.ts";
import { createMachine, type RetrovisorMachine } from "../core/machine.ts";
import { demoImage } from "../guests/demo/image.ts";
import { compareExecutions } from "../replay/diff/executions.ts";
import { differingMemory, registersOf } from "../replay/diff/state.ts";
import { LiveInputs } from "../replay/inputs.ts";
import { record } from "../replay/runner.ts";
import { Scanner } from "../replay/scan/scan.ts";
import { parseScript } from "../replay/script.ts";
import { Bundle } from "../traces/bundle.ts";
import { MemoryStore } from "../traces/store.ts";
import { Random } from "./fidelity/random.ts";

/** Instructions beyond which not every one is stepped through. */
const FAR = 20_000;
/** All twenty seeds take minutes: the everyday test has a few of them. */
const MOST = 3_000_000, SEEDS = Deno.env.get("RETROVISOR_FULL") ? 20 : 4;

interface Given {
  flips?: (BitFlip & { icount: number })[];
  script?: string;
  most?: number;
}

/** Records the demo guest, with faults or console input. */
async function recorded({ flips, script, most = MOST }: Given): Promise<MemoryStore> {
  const store = new MemoryStore();
  const inputs = new LiveInputs({
    epochSeconds: () => 1e9,
    entropy: (n) => new Uint8Array(n),
    unattended: true,
    ...(flips ? { flips } : {}),
    ...(script ? { script: parseScript(script, "xen") } : {}),
  });
  const config = { ...DEFAULT_CONFIG, name: "demo", memoryBytes: 32 << 20 };
  const images = [{ role: "kernel" as const, name: "demo", bytes: demoImage() }];
  await record(config, images, inputs, store, {
    createMachine,
    checkpointInterval: 400e3,
    maxInstructions: most,
  });
  return store;
}

const plain = await recorded({});

/** Two machines stepped side by side, everything compared behind every instruction: what the search must find. */
function stepSideBySide(
  a: MemoryStore,
  b: MemoryStore,
  from: number,
  most: number,
  given: ReadonlyMap<number, number> | null = null,
): number | null {
  const sides = [a, b].map((store) => new Scanner(Bundle.open(store)));
  const [x, y] = sides.map((s) => s.machine) as [RetrovisorMachine, RetrovisorMachine];
  for (const s of sides) {
    s.session.seek(Math.max(0, from - 1));
    s.session.runTo(from);
    s.machine.takeDirtyPages();
  }
  const cause = given ?? differingMemory(x, y), last = 32 << 20 >> 12;
  for (let n = from; n < from + most; n++) {
    for (const s of sides) s.session.runTo(n + 1);
    const p = registersOf(x), q = registersOf(y);
    for (const [name, w] of p) if (w.some((v, i) => v !== q.get(name)![i])) return n;
    for (const m of [x, y]) {
      const { dirty } = m.mem;
      for (let gfn = dirty.indexOf(1); gfn >= 0 && gfn < last; gfn = dirty.indexOf(1, gfn + 1)) {
        const p = x.mem.hostPage[gfn] << 12, q = y.mem.hostPage[gfn] << 12;
        for (let i = 0; i < 4096; i++) {
          const bits = x.mem.u8[p + i] ^ y.mem.u8[q + i];
          if (bits !== 0 && bits & ~(cause.get((gfn << 12) + i) ?? 0)) return n;
        }
        dirty[gfn] = 0;
      }
      m.cpu.mmu.watchWrites();
    }
  }
  return null;
}

/** A bit that the guest is about to use: of data it reads, or of code it executes. */
function usedBit(random: Random, icount: number): BitFlip {
  const s = new Scanner(Bundle.open(plain)), window = { from: icount, to: icount + 3000 };
  const bit = random.below(8), segment = { ...window, start: 0, end: -1 };
  const reads = s.scan({ table: "memory_reads", range: null, ...window }, segment, () => {});
  if (random.below(3) === 0 || reads.rows === 0) {
    const t = s.scan({ table: "instructions", range: null, ...window }, segment, () => {});
    if (t.rows === 0) return { gpa: 0x10_0000 + random.below(0x2000), bit }; // inside one long instruction
    const rips = t.columns.find((c) => c.name === "rip")!.data;
    return { gpa: rips[random.below(t.rows) * 2], bit };
  }
  const column = (name: string) => reads.columns.find((c) => c.name === name)!.data;
  const row = random.below(reads.rows);
  return { gpa: column("gpa")[row * 2] + random.below(column("size")[row]), bit };
}

Deno.test(`diff names the first instruction that a flipped bit makes different, ${SEEDS} seeds of ${SEEDS}`, async () => {
  const first = Number(Deno.env.get("SEED") ?? 1);
  let effects = 0;
  for (let seed = first; seed < first + SEEDS; seed++) {
    const random = new Random(seed), icount = 20_000 + random.below(MOST - 100_000);
    const flip = { icount, ...usedBit(random, icount) }, other = await recorded({ flips: [flip] });
    const d = await compareExecutions(Bundle.open(plain), Bundle.open(other));
    const what = `seed ${seed}: bit ${flip.bit} of 0x${flip.gpa.toString(16)} at ${icount}`;
    const found = d.finding?.effect?.icount ?? null;
    console.log(`${what}: met at ${d.finding?.met}, different at ${found}`);
    assertEquals([d.unlike, d.input?.icount, d.finding?.start], [[], icount, icount], what);
    assertEquals([...d.finding!.cause], [[flip.gpa, 1 << flip.bit]], what);
    if (found === null || found - icount > FAR) {
      // Too far to step all the way: the first stretch, and the last one.
      assertEquals(stepSideBySide(plain, other, icount, 1000), null, what);
      if (found !== null) {
        const cause = d.finding!.cause, from = found - 1000;
        assertEquals(stepSideBySide(plain, other, from, 1001, cause), found, what);
      }
    } else assertEquals(stepSideBySide(plain, other, icount, found - icount + 1), found, what);
    if (found !== null) {
      effects++;
      assert(d.finding!.met! <= found, what);
      assertGreater(d.finding!.effect!.registers.length + d.finding!.effect!.memory.length, 0, what);
      assertGreater(d.around!.a.rows, 1, what);
    }
  }
  assertGreater(effects, SEEDS / 2 - 1);
});

Deno.test("diff finds nothing between two recordings of one execution, and says so of different machines", async () => {
  const same = await compareExecutions(Bundle.open(plain), Bundle.open(await recorded({})));
  assertEquals([same.unlike, same.input, same.exit, same.other, same.finding], [[], null, null, null, null]);
});

Deno.test("diff of a bit anywhere in memory at any time: no difference before what it names, one behind", async () => {
  const first = Number(Deno.env.get("SEED") ?? 100);
  for (let seed = first; seed < first + 3; seed++) {
    const random = new Random(seed), icount = random.below(MOST - 1000);
    const flip = { icount, gpa: random.below(2 << 20), bit: random.below(8) };
    const other = await recorded({ flips: [flip] });
    const d = await compareExecutions(Bundle.open(plain), Bundle.open(other));
    const what = `seed ${seed}: bit ${flip.bit} of 0x${flip.gpa.toString(16)} at ${icount}`, f = d.finding!;
    const at = f.effect?.icount ?? Math.min(f.end, f.converged ?? Infinity);
    console.log(`${what}: ${f.effect === null ? `none to ${at}` : `at ${at}`}`);
    const sides = [plain, other].map((store) => new Scanner(Bundle.open(store)));
    const differs = (n: number): boolean => {
      for (const s of sides) s.session.seek(n);
      const [x, y] = sides.map((s) => s.machine) as [RetrovisorMachine, RetrovisorMachine];
      const p = registersOf(x), q = registersOf(y);
      const same = [...p].every(([name, w]) => w.every((v, i) => v === q.get(name)![i]));
      return !same || [...differingMemory(x, y)].some(([gpa, bits]) => bits & ~(f.cause.get(gpa) ?? 0));
    };
    assertEquals(differs(at), false, what);
    if (f.effect !== null) assertEquals(differs(at + 1), true, what);
  }
});

/** Polls the first UART, adds up what it receives, and stores the sum. */
const ADDER = Uint8Array.of(
  ...[0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf8], // wait: mov dx,3fd; in al,dx; test al,1; jz wait
  ...[0xba, 0xf8, 0x03, 0xec, 0x00, 0xc3], // mov dx,3f8; in al,dx; add bl,al
  ...[0x88, 0x1e, 0x00, 0x05, 0xeb, 0xec], // mov [500],bl; jmp wait
);

async function typed(text: string): Promise<MemoryStore> {
  const store = new MemoryStore();
  const inputs = new LiveInputs({
    epochSeconds: () => 1e9,
    entropy: (n) => new Uint8Array(n),
    unattended: true,
    script: parseScript(`at 20000 send ${JSON.stringify(text)}`, "uart0"),
  });
  const flat = { load: 0x1000, entry: 0x1000, mode: "real" } as const;
  const machine = { type: "flat", xen: false, platform: "pc", memoryBytes: 2 << 20, flat } as const;
  const images = [{ role: "kernel" as const, name: "adder", bytes: ADDER }];
  const options = { createMachine, maxInstructions: 100_000 };
  await record({ ...DEFAULT_CONFIG, ...machine }, images, inputs, store, options);
  return store;
}

Deno.test("diff names the instruction that takes in a different byte of input", async () => {
  for (const [x, y] of [["abcd", "abzd"], ["a", "b"]]) {
    const a = await typed(x), b = await typed(y), d = await compareExecutions(Bundle.open(a), Bundle.open(b));
    assertEquals([d.unlike, d.input?.column], [[], "payload"]);
    const effect = d.finding!.effect!, at = effect.icount;
    assertEquals(stepSideBySide(a, b, d.finding!.start, at - d.finding!.start + 1), at);
    assertEquals(effect.registers.map((r) => r.name), ["rax"]);
    const n = [...x].findIndex((c, i) => c !== y[i]);
    assertEquals([effect.registers[0].a, effect.registers[0].b].map((v) => Number(v) & 0xff), [
      x.charCodeAt(n),
      y.charCodeAt(n),
    ]);
    // IN AL, DX is what reads it, and the exit it makes is the first that differs.
    const { a: shown } = d.around!, codes = shown.columns.find((c) => c.name === "code")!.data;
    const icounts = shown.columns.find((c) => c.name === "icount")!.data;
    const row = Array.from({ length: shown.rows }, (_, i) => icounts[i * 2]).indexOf(at);
    assertEquals(shown.codes[codes[row]].split(":")[2], "ec");
    assertEquals([d.exit?.icount, d.exit?.column], [at, "result"]);
  }
});
