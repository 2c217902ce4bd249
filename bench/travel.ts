/**
 * `deno task bench:travel TRACE`: how long going to places of a recording takes, as a debugger does it.
 *
 * Places are drawn from a seed. Times are of the host's clock; beside them stands the processor time that the whole
 * process spent (compiler and collector threads included), which a busy machine disturbs less.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import process from "node:process";
import { NoInputs } from "../core/inputs.ts";
import { createMachine } from "../core/machine.ts";
import { WatchKind } from "../core/mmu/watch.ts";
import { PAGE_SIZE } from "../core/mmu/physmem.ts";
import { CheckpointReader } from "../replay/checkpoint_reader.ts";
import { StoredPages } from "../replay/memory_image.ts";
import { openForDebugging } from "../replay/gdb/open.ts";
import type { Arrival } from "../replay/gdb/debuggee.ts";
import type { Traveler } from "../replay/traveler.ts";
import { Bundle } from "../traces/bundle.ts";
import { TABLES } from "../traces/schema.ts";

const HELP = `Measure how long travelling through a recording takes.

Usage: deno task bench:travel TRACE [OPTION]...

  --seeks N        seeks to random places (default: 50)
  --steps N        reverse-steps from the end (default: 20)
  --seed S         places are drawn from it (default: 1)
  --watch ADDRESS  run back from the end to the last change of the 4 bytes at this linear address
  --format FORMAT  table or json (default: table)

Examples:
  deno task bench:travel boot.trace
  deno task bench:travel loop.trace --seeks 0 --watch 0xffffffff82a0b2c4
`;

/** One journey. */
interface Journey {
  to: number;
  wallMs: number;
  cpuMs: number;
}

/** Processor milliseconds of the process so far. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function timed(t: Traveler, go: () => Promise<Arrival | void>): Promise<Journey> {
  const cpu = cpuMs(), wall = performance.now();
  await go();
  return { to: t.icount, wallMs: performance.now() - wall, cpuMs: cpuMs() - cpu };
}

/** Numbers in [0, 1) from a seed (xorshift32). */
function numbers(seed: number): () => number {
  let x = (seed * 2654435769 | 0) || 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

function median(of: readonly number[]): number {
  const sorted = of.toSorted((a, b) => a - b), n = sorted.length;
  return n === 0 ? NaN : (sorted[n - 1 >> 1] + sorted[n >> 1]) / 2;
}

/** Median and worst of some journeys. */
function summary(journeys: readonly Journey[]): Record<string, number> {
  const wall = journeys.map((j) => j.wallMs), cpu = journeys.map((j) => j.cpuMs);
  const round = (ms: number) => Math.round(ms * 10) / 10;
  return {
    count: journeys.length,
    medianMs: round(median(wall)),
    worstMs: round(Math.max(...wall)),
    medianCpuMs: round(median(cpu)),
    worstCpuMs: round(Math.max(...cpu)),
  };
}

/** Bytes of a recording, and those of pages that only checkpoints between its start and its end refer to. */
export function recordingSize(
  bundle: Bundle,
): { bytes: number; checkpointBytes: number; checkpoints: number } {
  let bytes = 0;
  for (const t of TABLES) bytes += bundle.table(t.name).source.size;
  const { rows } = bundle.table("checkpoints");
  // Which pages checkpoints refer to is asked, not what is in them: nothing is loaded.
  const loaded = () => createMachine(bundle.manifest.config, bundle.images(), new NoInputs()).mem;
  const reader = new CheckpointReader(bundle, new StoredPages(bundle.table("pages"), loaded));
  const kept = new Set<number>();
  for (const row of [0, rows - 1]) {
    for (const part of reader.read(row).image.parts) {
      for (const p of part) if (p !== undefined && p !== null && p.id > 0) kept.add(p.id);
    }
  }
  const checkpointBytes = (bundle.table("pages").rows - kept.size) * PAGE_SIZE;
  return { bytes, checkpointBytes, checkpoints: rows };
}

async function main(args: string[]): Promise<number> {
  const given = parseArgs(args, {
    string: ["seeks", "steps", "seed", "watch", "format"],
    boolean: ["help"],
    default: { seeks: "50", steps: "20", seed: "1", format: "table" },
  });
  const path = given._[0];
  if (given.help || path === undefined) {
    console.log(HELP);
    return given.help ? 0 : 2;
  }
  const bundle = Bundle.open(String(path));
  const opened = performance.now(), { traveler: t } = openForDebugging(bundle);
  const results: Record<string, unknown> = {
    instructions: t.end,
    ...recordingSize(bundle),
    openMs: Math.round(performance.now() - opened),
  };
  const random = numbers(Number(given.seed));
  const seeks: Journey[] = [];
  for (let n = 0; n < Number(given.seeks); n++) {
    const to = Math.floor(random() * t.end);
    seeks.push(await timed(t, () => t.seek(to)));
  }
  if (seeks.length > 0) {
    results.firstSeek = summary(seeks.slice(0, 1));
    results.seek = summary(seeks);
  }
  results.seekEnd = summary([await timed(t, () => t.seek(t.end))]);
  const steps: Journey[] = [];
  for (let n = 0; n < Number(given.steps); n++) steps.push(await timed(t, () => t.stepBack()));
  if (steps.length > 0) results.reverseStep = summary(steps);
  if (given.watch !== undefined) {
    t.watchpoints = [{
      kind: WatchKind.WRITE,
      address: Number(BigInt.asIntN(64, BigInt(given.watch))),
      length: 4,
    }];
    const from = t.icount;
    let how = "";
    const back = await timed(t, async () => {
      how = (await t.resumeBack()).kind;
    });
    results.watchBack = { how, instructions: from - back.to, ...summary([back]) };
  }
  if (given.format === "json") console.log(JSON.stringify(results, null, 2));
  else for (const [name, value] of Object.entries(results)) console.log(name.padEnd(14), shown(value));
  bundle.close();
  return 0;
}

function shown(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  return Object.entries(value).map(([k, v]) => `${k} ${v}`).join(", ");
}

if (import.meta.main) Deno.exit(await main(Deno.args));
