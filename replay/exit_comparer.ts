/**
 * Compares exits with the recorded ones, word by word.
 *
 * @module
 */
import { Col, COLS, type ExitEvent, MODE_NAMES, reasonName } from "../core/exits.ts";
import type { Batch } from "../traces/batch.ts";
import { RowCursor } from "../traces/cursor.ts";
import { columnIndex, OTHER_NAME } from "../traces/schema.ts";
import type { TableFile } from "../traces/table_file.ts";
import { ERROR_CODE_BIT, INJECTED_VECTOR_BIT } from "./exit_writer.ts";

const COLUMN_NAMES = Object.keys(Col) as (keyof typeof Col)[];

/** Columns of the batch being compared. */
interface Views {
  seq: Uint32Array;
  icount: Uint32Array;
  timeNs: Uint32Array;
  domid: Uint16Array;
  vcpu: Uint16Array;
  reason: Uint16Array;
  reasonCode: Uint32Array;
  cs: Uint16Array;
  cpl: Uint8Array;
  mode: Uint16Array;
  vector: Uint16Array;
  errorCode: Uint32Array;
  words: Uint32Array[];
  /** Which nullable columns have a value, by row. */
  masks: Uint16Array;
}

/** Walks through the recorded exits. */
export class ExitComparer {
  readonly cursor: RowCursor;
  #views: Views | null = null;
  /** Reason code by dictionary index; -1: any (a name that did not fit the dictionary). */
  readonly #codes: Map<number, number> = new Map();
  readonly #names: readonly string[];

  constructor(file: TableFile) {
    this.#names = file.dictionaries()[columnIndex(file.spec, "reason")] ?? [];
    this.cursor = new RowCursor(file);
    this.cursor.onBatch = (b) => this.#load(b);
    if (this.cursor.batch !== null) this.#load(this.cursor.batch);
  }

  #load(b: Batch): void {
    const words = COLUMN_NAMES.map((n) => b.column(n));
    const masks = new Uint16Array(b.rows);
    [...COLUMN_NAMES, "injected_vector", "error_code"].forEach((name, bit) => {
      const validity = b.column(name).validity;
      for (let i = 0; i < b.rows; i++) {
        if (validity === null || validity[i >>> 3] >>> (i & 7) & 1) masks[i] |= 1 << bit;
      }
    });
    this.#views = {
      seq: b.column("seq").u32,
      icount: b.column("icount").u32,
      timeNs: b.column("time_ns").u32,
      domid: b.column("domid").u16,
      vcpu: b.column("vcpu").u16,
      reason: b.column("reason").u16,
      reasonCode: b.column("reason_code").u32,
      cs: b.column("cs").u16,
      cpl: b.column("cpl").bytes,
      mode: b.column("mode").u16,
      vector: b.column("injected_vector").u16,
      errorCode: b.column("error_code").u32,
      words: words.map((w) => w.u32),
      masks,
    };
  }

  /**
   * Compares an exit with the next recorded one and goes on.
   * @returns null when they are equal, otherwise the first column that differs; "" when no exit is left
   */
  check(e: ExitEvent): string | null {
    const c = this.cursor, v = this.#views;
    if (c.batch === null || v === null) return "";
    const column = this.#compare(e, v, c.row);
    if (column === null) c.advance();
    return column;
  }

  #compare(e: ExitEvent, v: Views, row: number): string | null {
    const pair = row * 2, words = e.words;
    if (v.icount[pair] + v.icount[pair + 1] * 0x1_0000_0000 !== e.icount) return "icount";
    if (v.reasonCode[row] !== e.reason) return "reason_code";
    if (v.seq[pair] + v.seq[pair + 1] * 0x1_0000_0000 !== e.seq) return "seq";
    if (v.timeNs[pair] + v.timeNs[pair + 1] * 0x1_0000_0000 !== Math.floor(e.timeNs)) return "time_ns";
    let mask = e.present;
    if (e.injectedVector >= 0) mask |= INJECTED_VECTOR_BIT;
    if (e.errorCode >= 0) mask |= ERROR_CODE_BIT;
    const differs = v.masks[row] ^ mask;
    for (let i = 0; i < COLS; i++) {
      const w = v.words[i];
      if (differs >>> i & 1) return COLUMN_NAMES[i];
      if (mask >>> i & 1 && (w[pair] !== words[i * 2] || w[pair + 1] !== words[i * 2 + 1])) {
        return COLUMN_NAMES[i];
      }
    }
    if (!this.#reasonFits(v.reason[row], e.reason)) return "reason";
    if (v.domid[row] !== e.domid) return "domid";
    if (v.vcpu[row] !== e.vcpu) return "vcpu";
    if (v.cs[row] !== e.cs) return "cs";
    if (v.cpl[row] !== e.cpl) return "cpl";
    if (v.mode[row] !== e.mode) return "mode";
    if (differs & INJECTED_VECTOR_BIT || (e.injectedVector >= 0 && v.vector[row] !== e.injectedVector)) {
      return "injected_vector";
    }
    if (differs & ERROR_CODE_BIT || (e.errorCode >= 0 && v.errorCode[row] !== e.errorCode >>> 0)) {
      return "error_code";
    }
    return null;
  }

  #reasonFits(index: number, code: number): boolean {
    const known = this.#codes.get(index);
    if (known !== undefined) return known === code || known === -1;
    const name = this.#names[index], fits = name === reasonName(code);
    if (fits) this.#codes.set(index, code);
    else if (name === OTHER_NAME) this.#codes.set(index, -1);
    return fits || name === OTHER_NAME;
  }

  /** The next recorded exit, for people. */
  describeNext(): string {
    const { batch, row } = this.cursor;
    if (batch === null) return "none: the recording has no further exit";
    return batch.spec.columns
      .map((c, i) => [c.name, shown(c.name, batch.showAt(i, row))])
      .filter(([, value]) => value !== "null").map(([name, value]) => `${name}=${value}`).join(" ");
  }

  /** Value of a column of the next recorded exit. */
  expected(column: string): string {
    const { batch, row } = this.cursor;
    return batch === null ? "none" : shown(column, batch.showAt(columnIndex(batch.spec, column), row));
  }
}

const AS_HEX = new Set<string>([...COLUMN_NAMES, "cs", "reason_code", "error_code"]);

function shown(column: string, value: string): string {
  return AS_HEX.has(column) && value !== "null" ? `0x${BigInt(value).toString(16)}` : value;
}

/** Value of a column of an exit as it happened. */
export function actualValue(e: ExitEvent, column: string): string {
  switch (column) {
    case "seq":
      return String(e.seq);
    case "icount":
      return String(e.icount);
    case "time_ns":
      return String(Math.floor(e.timeNs));
    case "domid":
      return String(e.domid);
    case "vcpu":
      return String(e.vcpu);
    case "reason":
      return reasonName(e.reason);
    case "reason_code":
      return `0x${e.reason.toString(16)}`;
    case "cs":
      return `0x${e.cs.toString(16)}`;
    case "cpl":
      return String(e.cpl);
    case "mode":
      return MODE_NAMES[e.mode] ?? String(e.mode);
    case "injected_vector":
      return e.injectedVector < 0 ? "null" : String(e.injectedVector);
    case "error_code":
      return e.errorCode < 0 ? "null" : `0x${(e.errorCode >>> 0).toString(16)}`;
    default: {
      const value = e.get(Col[column as keyof typeof Col]);
      return value === null ? "null" : `0x${value.toString(16)}`;
    }
  }
}

/** An exit as it happened, for people, in the columns' order. */
export function describeExit(e: ExitEvent, columns: readonly string[]): string {
  return columns.map((c) => [c, actualValue(e, c)]).filter(([, value]) => value !== "null")
    .map(([c, value]) => `${c}=${value}`).join(" ");
}
