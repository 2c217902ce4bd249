/**
 * Query results as text: aligned table, JSON, CSV. Rows go through one at a time; nothing of unbounded size is held.
 *
 * @module
 */
import type { Column, RowStream, Value } from "./rows.ts";
import { clip, harmless, hex, hexBytes, jsonString } from "./text.ts";

/** Formats that are text. */
export type TextFormat = "table" | "json" | "csv";

/** Rows from which a table's column widths are taken; later, wider cells stick out. */
const WIDTH_ROWS = 500;
/** Widest cell of a table. */
const CELL_WIDTH = 120;

/** Columns that hold addresses, registers and bit fields: tables show them in hexadecimal. */
const HEX_COLUMNS =
  /^(rip|guest_rip|gpa|gla|cr3|info[12]|arg[0-5]|a[0-5]|fault_address|start|ecx|rax|rbx|rcx|rdx|leaf|function|port|irq|vector|val|data|reason_code|exit_reason|stack|reg|address|target|rsp|rbp|rsi|rdi|r8|r9|r1[0-5]|rflags|cr[024]|efer|[cdefgs]s|value|[fg]s_base|kernel_gs_base)$/;

/** Writes a result in a format; yields pieces of text, each ending at a line's end. */
export function formatRows(result: RowStream, format: TextFormat): Iterable<string> {
  switch (format) {
    case "json":
      return jsonLines(result);
    case "csv":
      return csvLines(result);
    case "table":
      return tableLines(result);
  }
}

function* tableLines({ columns, rows }: RowStream): Generator<string> {
  const right = columns.map((c) => c.numeric);
  const head: string[][] = [];
  const rest = rows[Symbol.iterator]();
  let next = rest.next();
  for (; !next.done && head.length < WIDTH_ROWS; next = rest.next()) head.push(cells(next.value, columns));
  const titles = columns.map((c) => harmless(c.name));
  const widths = titles.map((t, i) => Math.max(length(t), ...head.map((r) => length(r[i]))));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => {
      const pad = " ".repeat(Math.max(0, widths[i] - length(cell)));
      return right[i] ? pad + cell : cell + pad;
    }).join("  ").trimEnd() + "\n";
  yield line(titles);
  yield line(widths.map((w) => "─".repeat(w)));
  for (const row of head) yield line(row);
  for (; !next.done; next = rest.next()) yield line(cells(next.value, columns));
}

function length(text: string): number {
  return [...text].length;
}

function cells(row: Value[], columns: readonly Column[]): string[] {
  return row.map((v, i) => cellText(v, columns[i]));
}

/** A value as a table shows it: addresses in hexadecimal, control characters spelt out, nothing longer than a line. */
export function cellText(value: Value, column: Column): string {
  const wanted = HEX_COLUMNS.test(column.name) && !/Float|Utf8|Bool/.test(column.type);
  const show = (v: Value): string => {
    if ((typeof v === "number" || typeof v === "bigint") && wanted) return v < 0 ? String(v) : hex(v);
    return Array.isArray(v) ? `[${v.map(show).join(", ")}]` : plainText(v);
  };
  return clip(harmless(show(value)), CELL_WIDTH);
}

/** A value outside any quoting: null is the empty string, blobs are hexadecimal, what is nested is JSON. */
function plainText(value: Value): string {
  if (value === null) return "";
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return hexBytes(value);
  if (value instanceof Date) return value.toISOString();
  return typeof value === "object" ? toJson(value) : String(value);
}

function* jsonLines({ columns, rows }: RowStream): Generator<string> {
  const keys = columns.map((c) => jsonString(c.name));
  let before = "[\n";
  for (const row of rows) {
    yield `${before}  {${row.map((v, i) => `${keys[i]}: ${toJson(v)}`).join(", ")}}`;
    before = ",\n";
  }
  yield before === "[\n" ? "[]\n" : "\n]\n";
}

/** JSON with integers of any size written out exactly, blobs as hexadecimal strings, and no raw control characters. */
export function toJson(value: Value): string {
  if (value === null) return "null";
  if (typeof value === "bigint" || typeof value === "boolean") return String(value);
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "null";
  if (typeof value === "string") return jsonString(value);
  if (value instanceof Uint8Array) return jsonString(hexBytes(value));
  if (value instanceof Date) return jsonString(value.toISOString());
  if (Array.isArray(value)) return `[${value.map(toJson).join(", ")}]`;
  return `{${Object.entries(value).map(([k, v]) => `${jsonString(k)}: ${toJson(v)}`).join(", ")}}`;
}

/** CSV of RFC 4180 with line feeds; control characters other than line feed and tab are escaped as `\xNN`. */
function* csvLines({ columns, rows }: RowStream): Generator<string> {
  yield columns.map((c) => csvField(c.name)).join(",") + "\n";
  for (const row of rows) yield row.map((v) => csvField(plainText(v))).join(",") + "\n";
}

function csvField(text: string): string {
  const clean = text.split(/([\n\t])/).map((part) => part === "\n" || part === "\t" ? part : harmless(part))
    .join("");
  return /[",\n\r]/.test(clean) ? `"${clean.replaceAll('"', '""')}"` : clean;
}
