/**
 * `retrovisor diff --execution`: where two executions part, as text or JSON.
 *
 * @module
 */
import { disassembled } from "../analysis/replay/encode.ts";
import { grouped, harmless } from "../analysis/text.ts";
import { compareExecutions, describeInput, type ExecutionDifference } from "../replay/diff/executions.ts";
import { type Finding, placeOf } from "../replay/diff/find.ts";
import type { RowDifference } from "../replay/diff/tables.ts";
import type { ScanTable } from "../replay/scan/rows.ts";
import type { Bundle } from "../traces/bundle.ts";
import { ProgressLine } from "./progress.ts";

/** Lines of each kind that are shown at most. */
const SHOWN_MAX = 24;

/** Compares two executions. @returns what to print, and whether they differ */
export async function diffExecutions(
  bundles: readonly [Bundle, Bundle],
  format: "text" | "json",
): Promise<{ text: string; different: boolean }> {
  let progress: ProgressLine | null = null;
  try {
    const d = await compareExecutions(...bundles, (icount, end) => {
      progress ??= new ProgressLine(end);
      progress.update({ icount });
    });
    const different = d.unlike.length > 0 || d.input !== null || d.exit !== null || d.other !== null ||
      d.finding !== null || d.firstDifferentCheckpoint !== null;
    return { text: format === "json" ? json(d) : text(d, different), different };
  } finally {
    (progress as ProgressLine | null)?.clear();
  }
}

const hex = (n: number): string => `0x${n.toString(16)}`;

/** Rows of table `instructions` with their text. */
function lines(t: ScanTable): { icount: number; rip: string; bytes: string; text: string }[] {
  const column = (name: string) => t.columns.find((c) => c.name === name)!.data,
    texts = disassembled(t.codes);
  return Array.from({ length: t.rows }, (_, i) => {
    const code = column("code")[i], [bytes, ...text] = texts[code].split(":");
    const icount = column("icount")[i * 2 + 1] * 2 ** 32 + column("icount")[i * 2];
    return { icount, rip: `0x${t.codes[code].split(":")[1]}`, bytes, text: text.join(":") };
  });
}

function json(d: ExecutionDifference): string {
  const f = d.finding;
  const finding = f === null ? null : {
    start: f.start,
    cause: [...f.cause].map(([gpa, bits]) => ({ gpa, bits })),
    met: f.met,
    effect: f.effect,
    converged: f.converged,
    end: f.end,
  };
  const around = d.around === null ? null : { a: lines(d.around.a), b: lines(d.around.b) };
  const { unlike, input, exit, other, lastEqualCheckpoint, firstDifferentCheckpoint } = d;
  return JSON.stringify(
    { unlike, input, exit, other, lastEqualCheckpoint, firstDifferentCheckpoint, finding, around },
    null,
    2,
  ) + "\n";
}

function text(d: ExecutionDifference, different: boolean): string {
  if (!different) return "The executions are the same: every input, exit and state.\n";
  const out: string[] = [];
  if (d.unlike.length > 0) {
    out.push(`Different machines: ${d.unlike.join("; ")}. Only what they recorded is compared.`);
  }
  if (d.input !== null) {
    out.push(`First different input (row ${d.input.row})`);
    out.push(`  a: ${harmless(describeInput(d.input.a))}`, `  b: ${harmless(describeInput(d.input.b))}`);
  } else out.push("The inputs are the same.");
  if (d.exit !== null) out.push(...rowLines("exit", d.exit));
  else out.push("The exits are the same.");
  if (d.other !== null) out.push(...rowLines(`row of ${d.other.table}`, d.other));
  if (d.firstDifferentCheckpoint !== null) {
    const last = d.lastEqualCheckpoint === null ? "none" : `icount ${grouped(d.lastEqualCheckpoint)}`;
    out.push(
      `Checkpoints: last equal ${last}, first different icount ${grouped(d.firstDifferentCheckpoint)}.`,
    );
  }
  if (d.finding !== null) out.push(...findingLines(d));
  return out.join("\n") + "\n";
}

function rowLines(what: string, d: RowDifference): string[] {
  const show = (row: Record<string, string> | null) =>
    row === null
      ? "none"
      : Object.entries(row).filter(([name]) =>
        !["seq", "time_ns", "domid", "vcpu", "reason_code"].includes(name)
      )
        .map(([name, v]) => `${name} ${/^(rip|cr3|gpa|gla|info|arg|result)/.test(name) ? hexText(v) : v}`)
        .join(", ");
  return [
    `First different ${what} (row ${d.row}, icount ${grouped(d.icount)}): ${d.column} differs`,
    `  a: ${harmless(show(d.a))}`,
    `  b: ${harmless(show(d.b))}`,
  ];
}

function hexText(decimal: string): string {
  return /^[0-9]+$/.test(decimal) ? `0x${BigInt(decimal).toString(16)}` : decimal;
}

function findingLines(d: ExecutionDifference): string[] {
  const f = d.finding!, out: string[] = [];
  const cause = [...f.cause].slice(0, SHOWN_MAX).map(([gpa, bits]) => `${hex(gpa)} (bits ${hex(bits)})`);
  const more = f.cause.size > SHOWN_MAX ? `, and ${f.cause.size - SHOWN_MAX} more` : "";
  out.push(
    cause.length === 0
      ? `No memory differs at icount ${grouped(f.start)}.`
      : `Memory differs from icount ${grouped(f.start)} on: ${cause.join(", ")}${more}.`,
  );
  if (f.met !== null && f.met !== f.effect?.icount) {
    out.push(`First instruction that reads or executes it: icount ${grouped(f.met)}.`);
  }
  if (f.effect === null) {
    out.push(...withoutEffect(f), ...around(d, placeOf(f)));
    return out;
  }
  const { icount, inFront } = f.effect;
  out.push(`First differing instruction: icount ${grouped(icount)}`, ...around(d, icount));
  if (f.effect.registers.length > 0) {
    out.push(`Registers ${inFront ? "in front of it, changed by the input" : "behind it"}:`);
  }
  const rows = f.effect.registers.slice(0, SHOWN_MAX);
  const width = (pick: (r: typeof rows[0]) => string) => Math.max(0, ...rows.map((r) => pick(r).length));
  const [n, w] = [width((r) => r.name), width((r) => r.a)];
  out.push(...rows.map((r) => `  ${r.name.padEnd(n)}  a ${r.a.padEnd(w)}  b ${r.b}`));
  if (f.effect.registers.length > SHOWN_MAX) out.push(`  and ${f.effect.registers.length - SHOWN_MAX} more`);
  if (f.effect.memory.length > 0) out.push("Memory behind it:");
  out.push(
    ...f.effect.memory.slice(0, SHOWN_MAX).map((m) => `  ${hex(m.gpa)}  a ${hex(m.a)}  b ${hex(m.b)}`),
  );
  if (f.effect.memory.length > SHOWN_MAX) out.push(`  and ${f.effect.memory.length - SHOWN_MAX} bytes more`);
  return out;
}

/** What became of a difference that no instruction turned into another one. */
function withoutEffect(f: Finding): string[] {
  const read = f.met === null
    ? "No instruction reads or executes it"
    : "It changes nothing that is read elsewhere";
  if (f.converged === null) return [`${read} up to icount ${grouped(f.end)}, where the comparison ends.`];
  const again = `both are in one state again from icount ${grouped(f.converged)} on`;
  return [
    f.converged === f.start
      ? `Nothing differs: ${again}.`
      : `${read}: what executes at icount ${grouped(f.converged - 1)} writes over it, and ${again}.`,
  ];
}

/** Instructions around one, of both where they are not the same. */
function around(d: ExecutionDifference, at: number | null): string[] {
  if (d.around === null || at === null) return [];
  const a = lines(d.around.a), b = lines(d.around.b);
  return JSON.stringify(a) === JSON.stringify(b)
    ? shown("both", a, at)
    : [...shown("a", a, at), ...shown("b", b, at)];
}

function shown(side: string, rows: ReturnType<typeof lines>, at: number): string[] {
  const width = Math.max(...rows.map((r) => r.bytes.length));
  return [
    `  ${side}:`,
    ...rows.map((r) =>
      `  ${r.icount === at ? ">" : " "} ${r.icount}  ${r.rip}  ${r.bytes.padEnd(width)}  ${r.text}`
    ),
  ];
}
