/**
 * Text for terminals: guest-controlled strings made harmless, numbers, bars and a small plot.
 *
 * @module
 */

// Control characters (C0, DEL, C1), line separators and the bidirectional and invisible format characters with which
// text can repaint a terminal or show other than what it is.
const UNSAFE =
  // deno-lint-ignore no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Text in which nothing controls a terminal: unsafe characters become `\n`, `\t`, `\x1b`, `\u{202e}`. */
export function harmless(text: string): string {
  return text.replace(UNSAFE, escapeCharacter);
}

/** Like `harmless`, but line feeds and tabs stay. */
export function harmlessLines(text: string): string {
  return text.replace(UNSAFE, (c) => c === "\n" || c === "\t" ? c : escapeCharacter(c));
}

/** A JSON string literal, pure of the characters that `harmless` replaces; `JSON.parse` gives `text` back. */
export function jsonString(text: string): string {
  return JSON.stringify(text).replace(UNSAFE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function escapeCharacter(c: string): string {
  if (c === "\n") return "\\n";
  if (c === "\r") return "\\r";
  if (c === "\t") return "\\t";
  const code = c.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
}

/** At most `width` characters; what is cut is marked. */
export function clip(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** Bytes as lower-case hexadecimal. */
export function hexBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** An address or register value. */
export function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

/** An integer with thousands separated. */
export function grouped(value: bigint | number): string {
  return value.toString().replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** A count and its noun: "1 read", "2 reads". */
export function plural(value: bigint | number, noun: string): string {
  return `${grouped(value)} ${noun}${Number(value) === 1 ? "" : "s"}`;
}

/** Virtual nanoseconds with a unit that suits them. */
export function duration(ns: number): string {
  const units: [number, string][] = [[1e9, "s"], [1e6, "ms"], [1e3, "us"]];
  for (const [size, name] of units) if (ns >= size) return `${short(ns / size)} ${name}`;
  return `${short(ns)} ns`;
}

/** A count of bytes with a unit that suits it. */
export function byteSize(bytes: number): string {
  const units: [number, string][] = [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]];
  for (const [size, name] of units) if (bytes >= size) return `${short(bytes / size)} ${name}`;
  return `${bytes} bytes`;
}

/** Three significant digits. */
export function short(value: number): string {
  if (value >= 100) return Math.round(value).toString();
  return Number(value.toPrecision(3)).toString();
}

const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A horizontal bar of at most `width` characters for `value` of `max`. */
export function bar(value: number, max: number, width: number): string {
  if (!(max > 0) || !(value > 0)) return "";
  const eighths = Math.max(1, Math.round(Math.min(1, value / max) * width * 8));
  return "█".repeat(eighths >> 3) + EIGHTHS[eighths & 7];
}

const STEPS = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/** Values as columns of a plot `height` lines high, top line first. */
export function columnPlot(values: readonly number[], height: number): string[] {
  const max = Math.max(...values, 0);
  const lines: string[] = [];
  for (let line = height - 1; line >= 0; line--) {
    lines.push(
      values.map((v) => {
        const eighths = max > 0 ? Math.round(v / max * height * 8) : 0;
        const visible = v > 0 ? Math.max(1, eighths) : 0;
        return STEPS[Math.min(8, Math.max(0, visible - line * 8))];
      }).join(""),
    );
  }
  return lines;
}

/** Rows as aligned columns, two spaces apart; `right` columns are aligned to the right. Trailing spaces are dropped. */
export function alignColumns(rows: readonly (readonly string[])[], right: readonly boolean[]): string[] {
  const widths = right.map((_, i) => Math.max(0, ...rows.map((r) => [...(r[i] ?? "")].length)));
  return rows.map((row) =>
    row.map((cell, i) => {
      const pad = " ".repeat(Math.max(0, widths[i] - [...cell].length));
      return right[i] ? pad + cell : cell + pad;
    }).join("  ").trimEnd()
  );
}
