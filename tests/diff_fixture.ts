/**
 * Recordings that differ by one thing, and two machines stepped side by side: what `diff` must find, found another way.
 *
 * @module
 */
import { DEFAULT_CONFIG } from "../core/config.ts";
import type { BitFlip } from "../core/faults.ts";
import { createMachine, type RetrovisorMachine } from "../core/machine.ts";
import { demoImage } from "../guests/demo/image.ts";
import { differingMemory, registersOf } from "../replay/diff/state.ts";
import { LiveInputs } from "../replay/inputs.ts";
import { record } from "../replay/runner.ts";
import { Scanner } from "../replay/scan/scan.ts";
import { parseScript } from "../replay/script.ts";
import { Bundle } from "../traces/bundle.ts";
import { MemoryStore } from "../traces/store.ts";

/** Instructions beyond which not every one is stepped through. */
export const FAR = 20_000;
/** All twenty seeds take minutes: the everyday test has a few of them. */
export const MOST = 3_000_000, SEEDS = Deno.env.get("RETROVISOR_FULL") ? 20 : 4;
/** First seed. */
export const FIRST = Number(Deno.env.get("SEED") ?? 1);

/** What may be chosen about a recording of the demo guest. */
export interface Given {
  flips?: (BitFlip & { icount: number })[];
  script?: string;
  most?: number;
}

/** Records the demo guest, with faults or console input. */
export async function recorded({ flips, script, most = MOST }: Given): Promise<MemoryStore> {
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

/** Two machines stepped side by side, everything compared behind every instruction: what the search must find. */
export function stepSideBySide(
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

/** True when two recordings are in different states at an icount, by more than a given difference of memory. */
export function differsAt(
  a: MemoryStore,
  b: MemoryStore,
  icount: number,
  cause: ReadonlyMap<number, number>,
): boolean {
  const [x, y] = [a, b].map((store) => {
    const s = new Scanner(Bundle.open(store));
    s.session.seek(icount);
    return s.machine;
  });
  const p = registersOf(x), q = registersOf(y);
  return ![...p].every(([name, w]) => w.every((v, i) => v === q.get(name)![i])) ||
    [...differingMemory(x, y)].some(([gpa, bits]) => bits & ~(cause.get(gpa) ?? 0));
}

/** Accesses to one byte of guest memory, as the watch on addresses tells them: icounts in order. */
export function accessesOf(
  store: MemoryStore,
  table: "memory_reads" | "memory_writes",
  gpa: number,
  from: number,
  to: number,
): number[] {
  const s = new Scanner(Bundle.open(store)), { checkpoints } = s.session;
  const start = Math.max(0, checkpoints.slice(0, -1).findLastIndex((c) => c.icount <= from));
  const range = { physical: true, from: gpa, bytes: 1 };
  const t = s.scan({ table, range, from, to }, { from, to, start, end: -1 }, () => {});
  const { data } = t.columns.find((c) => c.name === "icount")!;
  return Array.from({ length: t.rows }, (_, i) => data[i * 2 + 1] * 2 ** 32 + data[i * 2]);
}
