/**
 * Compares the less frequent events with the recorded rows.
 *
 * @module
 */
import type { HypercallEvent, InterruptEvent, SampleEvent } from "../core/exits.ts";
import type { Input } from "../core/inputs.ts";
import { isNull } from "../traces/batch.ts";
import { MAX_DICTIONARY_VALUES, MAX_NAME_LENGTH } from "../traces/columns.ts";
import { RowCursor } from "../traces/cursor.ts";
import { hex } from "../traces/hex.ts";
import { OTHER_NAME } from "../traces/schema.ts";
import type { TableFile } from "../traces/table_file.ts";
import { consoleText, HYPERCALL_ARGS, HYPERCALL_BUFFER_BYTES } from "./event_writer.ts";

/** A value of an event, in the order of the table's columns. */
export type Value = number | bigint | string | Uint8Array | bigint[] | null;

/** A column that differs. */
export interface Mismatch {
  column: string;
  expected: string;
  actual: string;
}

/** Walks through the rows of one table. */
export class RowComparer {
  readonly cursor: RowCursor;

  constructor(file: TableFile) {
    this.cursor = new RowCursor(file);
  }

  /** Compares an event with the next row and goes on when they are equal. @returns null when they are */
  check(values: readonly Value[]): Mismatch | null {
    const { batch, row } = this.cursor;
    if (batch === null) return { column: "row", expected: "none", actual: show(values[0]) };
    for (let i = 0; i < values.length; i++) {
      if (!this.#equal(i, row, values[i])) {
        return {
          column: batch.spec.columns[i].name,
          expected: batch.showAt(i, row),
          actual: show(values[i]),
        };
      }
    }
    this.cursor.advance();
    return null;
  }

  #equal(i: number, row: number, value: Value): boolean {
    const batch = this.cursor.batch;
    if (batch === null) return false;
    const column = batch.columns[i];
    if (value === null || isNull(column, row)) return value === null && isNull(column, row);
    if (typeof value === "number") return batch.numberAt(i, row) === value;
    if (typeof value === "bigint") {
      const words = BigInt.asUintN(64, value);
      return column.u32[row * 2] === Number(words & 0xffff_ffffn) &&
        column.u32[row * 2 + 1] === Number(words >> 32n);
    }
    if (typeof value === "string") {
      const text = batch.textAt(i, row);
      if (text === value) return true;
      // A name that did not fit the bounded dictionary.
      return text === OTHER_NAME && batch.dictionaries[i] !== null &&
        (value.length > MAX_NAME_LENGTH || (batch.dictionaries[i]?.length ?? 0) >= MAX_DICTIONARY_VALUES);
    }
    if (value instanceof Uint8Array) return sameBytes(batch.bytesAt(i, row), value);
    const from = column.offsets[row], items = column.items[0].u32;
    return column.offsets[row + 1] - from === value.length &&
      value.every((v, k) => BigInt(items[(from + k) * 2]) + (BigInt(items[(from + k) * 2 + 1]) << 32n) === v);
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}

function show(v: Value): string {
  if (v === null) return "null";
  if (v instanceof Uint8Array) return hex(v.subarray(0, 64));
  return Array.isArray(v) ? v.map((x) => x.toString(16)).join(" ") : String(v);
}

function optional(n: number): number | null {
  return n < 0 ? null : n;
}

function words(lo: number, hi: number): bigint {
  return BigInt(lo >>> 0) | BigInt(hi >>> 0) << 32n;
}

/** Values of a hypercall in the order of the table's columns. */
export function hypercallValues(h: HypercallEvent): Value[] {
  const args = Array.from({ length: HYPERCALL_ARGS }, (_, i) => h.args[i] ?? null);
  return [
    h.seq,
    optional(h.parentSeq),
    h.icount,
    h.vcpu,
    h.nr,
    h.name,
    optional(h.subop),
    h.subopName,
    ...args,
    h.result,
    h.errnoName,
    h.buffer === null ? null : h.buffer.subarray(0, HYPERCALL_BUFFER_BYTES),
  ];
}

/** @see hypercallValues */
export function inputValues(i: Omit<Input, "seq">, seq: number): Value[] {
  return [seq, i.icount, Math.floor(i.timeNs), i.vcpu, i.kind, i.target, i.payload];
}

/** @see hypercallValues */
export function interruptValues(i: InterruptEvent): Value[] {
  const rip = words(i.ripLo, i.ripHi);
  return [i.icount, Math.floor(i.timeNs), i.vcpu, i.vector, i.source, optional(i.port), i.raisedIcount, rip];
}

/** @see hypercallValues */
export function consoleValues(icount: number, timeNs: number, device: string, bytes: Uint8Array): Value[] {
  return [icount, Math.floor(timeNs), device, consoleText(bytes)];
}

/** @see hypercallValues */
export function sampleValues(s: SampleEvent): Value[] {
  return [s.icount, s.vcpu, words(s.ripLo, s.ripHi), s.cr3, s.cpl, s.stack];
}
