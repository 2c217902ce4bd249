/**
 * The benchmark's tables.
 *
 * @module
 */
import { type KernelResult, meanRatio, peersOf, ratio, unitNs } from "./results.ts";
import type { Speeds, TimeBase } from "./statistics.ts";
import type { Verdict } from "./targets.ts";

const NAME_WIDTH = 20, WIDTH = 15;

const speed = (x: number) => x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2);

/** Headings, each right-aligned; names that do not fit are cut at a hyphen into two lines. */
function head(peers: readonly string[]): string {
  return "".padEnd(NAME_WIDTH) + peers.map((p) => p.slice(0, WIDTH - 1).padStart(WIDTH)).join("");
}

/** Speeds of all peers in one phase, with how many times faster "self" is. */
function phaseTable(results: readonly KernelResult[], phase: keyof Speeds, base: TimeBase): string[] {
  const peers = peersOf(results);
  const cell = (text: string, x: number) => `${text}${isNaN(x) ? "" : ` (${x.toFixed(2)})`}`.padStart(WIDTH);
  const lines = results.map((r) =>
    `${r.kernel} ${r.bits}`.padEnd(NAME_WIDTH) +
    peers.map((p) => {
      const of = r.peers[p];
      if (of === undefined) return "-".padStart(WIDTH);
      return cell(speed(of[base][phase]), p === "self" ? NaN : ratio(r, "self", p, phase, base));
    }).join("")
  );
  const means = peers.map((p) => {
    const x = p === "self" ? NaN : meanRatio(results, "self", p, phase, base);
    return (isNaN(x) ? "" : x.toFixed(2)).padStart(WIDTH);
  });
  return [
    `M guest instr/s, ${phase} (self is so many times faster), by ${base} time`,
    head(peers),
    ...lines,
    "geometric mean".padEnd(NAME_WIDTH) + means.join(""),
    "",
  ];
}

function unitTable(results: readonly KernelResult[], base: TimeBase): string[] {
  const peers = peersOf(results), rows = results.filter((r) => r.unit !== null);
  if (rows.length === 0) return [];
  return [
    `ns for one of what the kernel is about, warm, by ${base} time`,
    head(peers),
    ...rows.map((r) =>
      `${r.kernel} ${r.bits}`.padEnd(NAME_WIDTH) +
      peers.map((p) => {
        const ns = unitNs(r, p, base);
        return (isNaN(ns) ? "-" : ns.toFixed(0)).padStart(WIDTH);
      }).join("")
    ),
    "",
  ];
}

function costTable(results: readonly KernelResult[], base: TimeBase): string[] {
  const columns = ["cost", "checkpointCost", "interpreterCost"] as const;
  const names = { cost: "recording", checkpointCost: "checkpoints", interpreterCost: "interpreter rec." };
  const used = columns.filter((c) => results.some((r) => r[c] !== null));
  if (used.length === 0) return [];
  const percent = (x: number) => `${(x * 100).toFixed(1)} %`.padStart(10);
  return [
    `what recording costs, warm and of a whole run, by ${base} time`,
    "".padEnd(NAME_WIDTH) + used.map((c) => names[c].padStart(20)).join(""),
    ...results.map((r) =>
      `${r.kernel} ${r.bits}`.padEnd(NAME_WIDTH) +
      used.map((c) => r[c] === null ? "-".padStart(20) : percent(r[c][base].warm) + percent(r[c][base].run))
        .join("")
    ),
    "",
  ];
}

/** Everything as text. */
export function tables(
  results: readonly KernelResult[],
  verdicts: readonly Verdict[],
  base: TimeBase,
): string {
  const missing = new Map<string, string[]>();
  for (const r of results) {
    for (const [peer, why] of Object.entries(r.missing)) {
      const key = `${peer}: ${why}`;
      missing.set(key, [...missing.get(key) ?? [], `${r.kernel} ${r.bits}`]);
    }
  }
  return [
    ...(["first", "warm", "whole"] as const).flatMap((phase) => phaseTable(results, phase, base)),
    ...unitTable(results, base),
    ...costTable(results, base),
    ...[...missing].map(([why, kernels]) => `not run on ${why} (${kernels.join(", ")})`),
    verdictLines(verdicts),
  ].join("\n");
}

/** One line for each target. */
export function verdictLines(verdicts: readonly Verdict[]): string {
  return verdicts.map((v) => `${v.reached ? "reached" : "MISSED "}  ${v.target}: ${v.seen}`).join("\n");
}
