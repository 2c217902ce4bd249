/**
 * The sections of the terminal report: a question, the SQL that answers it, and how its rows are printed.
 *
 * @module
 */
import type { Row, Value } from "./rows.ts";
import { alignColumns, bar, clip, columnPlot, duration, grouped, harmless, hex, plural } from "./text.ts";

/** One section. */
export interface Section {
  title: string;
  sql: string;
  /** Lines below the title; none: the section is left out. */
  render(rows: Row[]): string[];
}

/** Columns of the plot over time. */
const PLOT_COLUMNS = 60;
const PLOT_LINES = 4;
/** Widest bar. */
const BAR = 24;

/** A value as a number; what is null counts as 0. */
function num(v: Value): number {
  return typeof v === "number" ? v : typeof v === "bigint" ? Number(v) : 0;
}

function text(v: Value): string {
  return v === null ? "" : clip(harmless(String(v)), 60);
}

function count(v: Value): string {
  return grouped(num(v));
}

/** Lines of aligned cells; `right` says per column whether it is aligned to the right. */
function table(rows: readonly (readonly string[])[], right: string): string[] {
  return alignColumns(rows, [...right].map((c) => c === "r")).map((line) => `  ${line}`);
}

/** A count and its noun, as wide in the singular as in the plural: for columns. */
function counted(n: number, noun: string): string {
  return plural(n, noun) + (n === 1 ? " " : "");
}

/** Where code is: function and offset, or the bare address. */
export function place(rip: Value, name: Value, offset: Value): string {
  const at = typeof rip === "bigint" || typeof rip === "number" ? hex(rip) : "?";
  if (name === null) return at;
  return `${at} ${text(name)}${num(offset) > 0 ? `+${hex(num(offset))}` : ""}`;
}

/** Exits by reason, with bars. */
export const exitsByReason: Section = {
  title: "Exits by reason",
  sql: `SELECT vm_exit, samples, samples_pct FROM exit_summary LIMIT 24`,
  render(rows) {
    const max = num(rows[0]?.samples ?? 0);
    return table(
      rows.map((r) => [
        text(r.vm_exit),
        count(r.samples),
        `${num(r.samples_pct).toFixed(2)}%`,
        bar(num(r.samples), max, BAR),
      ]),
      "lrrl",
    );
  },
};

/** Hypercalls by name and sub-operation. */
export const hypercalls: Section = {
  title: "Hypercalls",
  sql: `SELECT nr, name, subop_name, calls, calls_pct, errors FROM hypercall_mix LIMIT 24`,
  render: (rows) =>
    table(
      rows.map((r) => [
        `${text(r.name)}${r.subop_name === null ? "" : ` ${text(r.subop_name)}`}`,
        `[${text(r.nr)}]`,
        count(r.calls),
        `${num(r.calls_pct).toFixed(2)}%`,
        num(r.errors) > 0 ? `${count(r.errors)} failed` : "",
      ]),
      "lrrrl",
    ),
};

/** Exits over virtual time. */
export function exitRate(endNs: number): Section {
  const bucket = Math.max(1, Math.ceil((endNs + 1) / PLOT_COLUMNS));
  return {
    title: "Exits over virtual time",
    sql: `SELECT bucket_ns, exits, hypercalls FROM exit_rate(${bucket})`,
    render(rows) {
      const values = new Array<number>(PLOT_COLUMNS).fill(0);
      for (const r of rows) {
        values[Math.min(PLOT_COLUMNS - 1, Math.floor(num(r.bucket_ns) / bucket))] += num(r.exits);
      }
      const max = Math.max(...values);
      if (max === 0) return [];
      return plot(values, `${grouped(max)} per ${duration(bucket)}`, duration(bucket * PLOT_COLUMNS));
    },
  };
}

function plot(values: number[], top: string, end: string): string[] {
  const lines = columnPlot(values, PLOT_LINES).map((line, i) =>
    `  ${i === 0 ? "▲" : "│"}${line}${i === 0 ? ` ${top}` : ""}`.trimEnd()
  );
  const axis = `  └${"─".repeat(values.length)}▶`;
  const labels = `  0${" ".repeat(Math.max(1, values.length - end.length))}${end}`;
  return [...lines, axis, labels];
}

/** Port accesses in xenalyze's shape. */
export const ports: Section = {
  title: "I/O ports",
  sql: `SELECT xenalyze, exits, distinct_values FROM io_ports LIMIT 12`,
  render: (rows) =>
    table(
      rows.map((r) => [
        text(r.xenalyze),
        num(r.distinct_values) === 1 ? "always one value" : counted(num(r.distinct_values), "value"),
      ]),
      "ll",
    ),
};

/** Unbacked memory that was touched. */
export const mmio: Section = {
  title: "MMIO pages",
  sql: `SELECT gpa, reads, writes FROM mmio_pages LIMIT 8`,
  render: (rows) =>
    table(
      rows.map((r) => [hex(r.gpa as bigint), counted(num(r.reads), "read"), counted(num(r.writes), "write")]),
      "lrr",
    ),
};

/** Model-specific registers. */
export const msrs: Section = {
  title: "MSRs",
  sql: `SELECT ecx, name, reads, writes, exceptions FROM msrs LIMIT 12`,
  render: (rows) =>
    table(
      rows.map((r) => [
        hex(num(r.ecx)),
        text(r.name),
        counted(num(r.reads), "read"),
        counted(num(r.writes), "write"),
        num(r.exceptions) > 0 ? `${count(r.exceptions)} faulted` : "",
      ]),
      "rlrrl",
    ),
};

/** CPUID leaves. */
export const cpuid: Section = {
  title: "CPUID leaves",
  sql: `SELECT leaf, subleaf, space, exits FROM cpuid_leaves LIMIT 8`,
  render: (rows) =>
    table(
      rows.map((r) => [
        hex(num(r.leaf)),
        r.subleaf === null ? "" : `subleaf ${text(r.subleaf)}`,
        text(r.space),
        count(r.exits),
      ]),
      "rllr",
    ),
};

/** Interrupts by vector. */
export const interrupts: Section = {
  title: "Interrupts",
  sql: `SELECT vector, source, count, p50_instructions, max_instructions FROM irq_latency LIMIT 12`,
  render: (rows) =>
    table(
      rows.map((r) => [
        `vector ${hex(num(r.vector))}`,
        text(r.source),
        count(r.count),
        `delivered after ${count(r.p50_instructions)} instructions (median), ${
          count(r.max_instructions)
        } at most`,
      ]),
      "llrl",
    ),
};

/** Addresses that exit most. */
export const topRips: Section = {
  title: "Where exits come from",
  sql: `SELECT rip, function, function_offset, reason, exits, exits_pct FROM top_rip LIMIT 12`,
  render: (rows) =>
    table(
      rows.map((r) => [
        count(r.exits),
        `${num(r.exits_pct).toFixed(2)}%`,
        text(r.reason),
        place(r.rip, r.function, r.function_offset),
      ]),
      "rrll",
    ),
};

/** Addresses that are executed most; nothing without sampling. */
export const hotRips: Section = {
  title: "Where instructions are spent (PC samples)",
  sql: `SELECT rip, function, function_offset, cpl, samples, samples_pct FROM hot_rip LIMIT 12`,
  render: (rows) =>
    table(
      rows.map((r) => [
        count(r.samples),
        `${num(r.samples_pct).toFixed(2)}%`,
        num(r.cpl) === 3 ? "user" : "",
        place(r.rip, r.function, r.function_offset),
      ]),
      "rrll",
    ),
};

/** Functions by the instructions spent in them, alone and with what they called; nothing without sampling and symbols. */
export const functionTime: Section = {
  title: "Functions by instructions (PC samples)",
  sql: `SELECT function, self, self_pct, total, total_pct FROM function_time\n` +
    `WHERE function <> '[unknown]' ORDER BY self DESC, total DESC, function LIMIT 16`,
  render: (rows) => timeTable(rows),
};

/** Functions by the instructions spent below them. */
export const functionTotals: Section = {
  title: "Functions by instructions, with all they called",
  sql: `SELECT function, self, self_pct, total, total_pct FROM function_time\n` +
    `WHERE total > self ORDER BY total DESC, self, function LIMIT 16`,
  render: (rows) => timeTable(rows),
};

function timeTable(rows: Row[]): string[] {
  return table(
    rows.map((r) => [
      text(r.function),
      `${num(r.self_pct).toFixed(2)}% self`,
      `${num(r.total_pct).toFixed(2)}% with callees`,
      counted(num(r.total), "sample"),
    ]),
    "lrrr",
  );
}

/** Functions by samples and exits; nothing without symbols. */
export const topFunctions: Section = {
  title: "Functions by exits",
  sql: `SELECT function, exits, exits_pct, samples, samples_pct FROM top_function\n` +
    `WHERE module <> 'xen' AND exits > 0 ORDER BY exits DESC, function LIMIT 12`,
  render: (rows) =>
    table(
      rows.map((r) => [
        text(r.function),
        `${counted(num(r.exits), "exit")} ${num(r.exits_pct).toFixed(2)}%`,
        num(r.samples) > 0 ? `${counted(num(r.samples), "sample")} ${num(r.samples_pct).toFixed(2)}%` : "",
      ]),
      "lrr",
    ),
};

/** Exits by who called the function that exits; nothing without sampling. */
export const callerExits: Section = {
  title: "Exits by calling function",
  sql: `SELECT caller, function, reason, exits, exits_pct FROM caller_exits\n` +
    `WHERE caller IS NOT NULL LIMIT 16`,
  render: (rows) =>
    table(
      rows.map((r) => [
        count(r.exits),
        `${num(r.exits_pct).toFixed(2)}%`,
        text(r.reason),
        `${text(r.caller)} → ${r.function === null ? "?" : text(r.function)}`,
      ]),
      "rrll",
    ),
};

/** Hypercalls by calling function; nothing without symbols. */
export const functionHypercalls: Section = {
  title: "Hypercalls by calling function",
  sql: `SELECT function, known_by, name, subop_name, calls FROM hypercall_callers\n` +
    `WHERE function <> '[hypercall page]' LIMIT 12`,
  render: (rows) =>
    table(
      rows.map((r) => [
        text(r.function),
        `${text(r.name)} ${text(r.subop_name)}`.trimEnd(),
        count(r.calls),
      ]),
      "llr",
    ),
};

/** vCPUs; a single one is not worth a table. */
export const vcpus: Section = {
  title: "vCPUs",
  sql: `SELECT vcpu, exits, hypercalls, interrupts, halted_ns FROM vcpu_state`,
  render: (rows) =>
    rows.length < 2 ? [] : table(
      rows.map((r) => [
        text(r.vcpu),
        counted(num(r.exits), "exit"),
        counted(num(r.hypercalls), "hypercall"),
        counted(num(r.interrupts), "interrupt"),
        `halted ${duration(num(r.halted_ns))}`,
      ]),
      "lrrrl",
    ),
};
