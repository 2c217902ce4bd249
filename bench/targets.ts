/**
 * What the engine is meant to reach, stated as lines that a run of the benchmark reaches or misses.
 *
 * @module
 */
import { type KernelResult, meanRatio, ratio, unitNs } from "./results.ts";
import type { Speeds, TimeBase } from "./statistics.ts";

/** One line of the verdict. */
export interface Verdict {
  /** What is wanted, with its bar. */
  target: string;
  /** What was seen. */
  seen: string;
  reached: boolean;
}

type Results = readonly KernelResult[];

const find = (results: Results, kernel: string, bits = 32) =>
  results.find((r) => r.kernel === kernel && r.bits === bits);

/** A bar for one number; no line when the number is missing (NaN). */
function bar(target: string, value: number, reached: boolean, unit: string): Verdict[] {
  if (isNaN(value)) return [];
  return [{ target, seen: `${value < 10 ? value.toFixed(2) : value.toFixed(0)}${unit}`, reached }];
}

/** Geometric mean against a peer, at least `least`. */
function mean(
  results: Results,
  other: string,
  phase: keyof Speeds,
  least: number,
  base: TimeBase,
): Verdict[] {
  const value = meanRatio(results, "self", other, phase, base);
  return bar(`${phase}: geometric mean against ${other} at least ${least}`, value, value >= least, "×");
}

function againstPeers(results: Results, base: TimeBase): Verdict[] {
  const lines: Verdict[] = [],
    ratios = results.map((r) => ({ r, x: ratio(r, "self", "v86", "first", base) }))
      .filter(({ x }) => !isNaN(x)).sort((a, b) => a.x - b.x);
  const slower = ratios.filter(({ x }) => x < 1);
  if (ratios.length > 0) {
    lines.push({
      target: "first: no kernel slower than v86",
      seen: slower.length === 0
        ? `slowest is ${ratios[0].r.kernel}, ${ratios[0].x.toFixed(2)}×`
        : slower.map(({ r, x }) => `${r.kernel} ${x.toFixed(2)}×`).join(", "),
      reached: slower.length === 0,
    });
  }
  lines.push(...mean(results, "v86", "first", 4, base), ...mean(results, "v86", "warm", 1.5, base));
  for (const phase of ["first", "warm"] as const) {
    lines.push(
      ...mean(results, "qemu-icount", phase, 1.3, base),
      ...mean(results, "qemu", phase, 1, base),
    );
    for (const bits of [32, 64]) {
      const mix = find(results, "mix", bits);
      if (mix === undefined) continue;
      const x = ratio(mix, "self", "qemu-icount", phase, base);
      lines.push(...bar(`${phase}: mix (${bits}-bit) against qemu-icount at least 1`, x, x >= 1, "×"));
    }
  }
  return lines;
}

function awkward(results: Results, base: TimeBase): Verdict[] {
  const lines: Verdict[] = [];
  const units = [["self-modify", 1000], ["interrupt", 100], ["page-switch", 500]] as const;
  for (const bits of [32, 64]) {
    const at = `(${bits}-bit)`, cold = find(results, "cold", bits)?.peers.self?.[base].warm ?? NaN;
    lines.push(
      ...bar(`20,000 different functions ${at} at least 100 M instr/s`, cold, cold >= 100, " M instr/s"),
    );
    const apart = (find(results, "apart", bits)?.peers.self?.[base].warm ?? NaN) /
      (find(results, "adjacent", bits)?.peers.self?.[base].warm ?? NaN);
    lines.push(
      ...bar(`arrays 1 MiB apart ${at} no slower than adjacent (2 % is noise)`, apart, apart >= 0.98, "×"),
    );
    for (const [kernel, most] of units) {
      const r = find(results, kernel, bits), ns = r === undefined ? NaN : unitNs(r, "self", base);
      lines.push(...bar(`${r?.unit?.name} ${at} at most ${most} ns`, ns, ns <= most, " ns"));
    }
  }
  return lines;
}

/** Worst of some costs, as one line. */
function worst(target: string, most: number, costs: [name: string, cost: number][]): Verdict[] {
  if (costs.length === 0) return [];
  const over = costs.filter(([, c]) => c > most), percent = (c: number) => `${(c * 100).toFixed(1)} %`;
  const [name, cost] = costs.toSorted((a, b) => b[1] - a[1])[0];
  const seen = over.length === 0
    ? `worst is ${name}, ${percent(cost)}`
    : over.map(([n, c]) => `${n} ${percent(c)}`).join(", ");
  return [{ target, seen, reached: over.length === 0 }];
}

const label = (r: KernelResult) => r.bits === 64 ? `${r.kernel}/64` : r.kernel;

function recording(results: Results, base: TimeBase): Verdict[] {
  const compute = results.filter((r) => ["compute", "memory", "float"].includes(r.group));
  const costs = (of: Results, key: "cost" | "interpreterCost" | "checkpointCost", part: "warm" | "run") =>
    of.flatMap((r): [string, number][] => r[key] === null ? [] : [[label(r), r[key][base][part]]]);
  const lines = [
    ...worst("recording costs at most 3 % on compute kernels (warm)", 0.03, costs(compute, "cost", "warm")),
    ...worst(
      "checkpoints cost at most 5 % (whole run)",
      0.05,
      costs(compute, "checkpointCost", "run"),
    ),
    ...worst(
      "recording costs the interpreter at most 5 % on mix and sieve (warm)",
      0.05,
      costs(compute.filter((r) => ["mix", "sieve"].includes(r.kernel)), "interpreterCost", "warm"),
    ),
  ];
  for (const r of results.filter((r) => r.group === "exits")) {
    const rate = 1000 / unitNs(r, "record", base);
    lines.push(...bar(`${label(r)}: at least 1 M recorded exits/s`, rate, rate >= 1, " M exits/s"));
  }
  const slower = results.map((r) => ({ r, x: ratio(r, "replay", "record", "whole", base) }))
    .filter(({ x }) => !isNaN(x)).sort((a, b) => a.x - b.x);
  if (slower.length > 0) {
    const below = slower.filter(({ x }) => x < 0.98);
    lines.push({
      target: "replay at least as fast as recording (2 % is noise)",
      seen: (below.length > 0 ? below : slower.slice(0, 1)).map(({ r, x }) => `${label(r)} ${x.toFixed(2)}×`)
        .join(", "),
      reached: below.length === 0,
    });
  }
  return lines;
}

function interpreter(results: Results, base: TimeBase): Verdict[] {
  return ["mix", "sieve"].flatMap((kernel) => {
    const r = find(results, kernel),
      x = r === undefined ? NaN : ratio(r, "interpreter", "v86", "whole", base);
    return bar(`interpreter alone on ${kernel} at least half as fast as v86 (whole run)`, x, x >= 0.5, "×");
  });
}

/** Every line that the peers and kernels of this run can decide. */
export function verdicts(results: Results, base: TimeBase): Verdict[] {
  return [
    ...againstPeers(results, base),
    ...awkward(results, base),
    ...recording(results, base),
    ...interpreter(results, base),
  ];
}
