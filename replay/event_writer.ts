/**
 * Copies the less frequent events into their tables.
 *
 * @module
 */
import type { HypercallEvent, InterruptEvent, SampleEvent } from "../core/exits.ts";
import type { Input } from "../core/inputs.ts";
import type { BundleWriter } from "../traces/bundle_writer.ts";
import { writeInput } from "../traces/rewrite.ts";
import type { TableWriter } from "../traces/writer.ts";

/** Most arguments of a hypercall, and most bytes of its buffer that are kept. */
export const HYPERCALL_ARGS = 6, HYPERCALL_BUFFER_BYTES = 256;

/**
 * Guest output as text: UTF-8 if it is that, otherwise each byte is the character of its number (ISO 8859-1).
 */
export function consoleText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    let text = "";
    for (const b of bytes) text += String.fromCharCode(b);
    return text;
  }
}

/** Writes hypercalls. */
export class HypercallWriter {
  readonly #args: BigUint64Array[];
  readonly #argBits: number[];
  constructor(readonly table: TableWriter) {
    const names = Array.from({ length: HYPERCALL_ARGS }, (_, i) => `arg${i}`);
    this.#args = names.map((n) => table.fixed(n).u64);
    this.#argBits = names.map((n) => table.bit(n));
  }

  /** Appends one. @throws StorageError */
  write(h: HypercallEvent): void {
    const t = this.table, row = t.row;
    let mask = 0;
    t.fixed("seq").setNumber(row, h.seq);
    t.fixed("parent_seq").setNumber(row, Math.max(0, h.parentSeq));
    if (h.parentSeq >= 0) mask |= t.bit("parent_seq");
    t.fixed("icount").setNumber(row, h.icount);
    t.fixed("vcpu").u16[row] = h.vcpu;
    t.fixed("nr").setNumber(row, h.nr);
    t.fixed("name").u16[row] = t.dictionary("name").index(h.name);
    t.fixed("subop").setNumber(row, Math.max(0, h.subop));
    if (h.subop >= 0) mask |= t.bit("subop");
    mask |= this.#optionalName(row, "subop_name", h.subopName);
    mask |= this.#optionalName(row, "errno_name", h.errnoName);
    for (let i = 0; i < HYPERCALL_ARGS; i++) {
      this.#args[i][row] = h.args[i] ?? 0n;
      if (i < h.args.length) mask |= this.#argBits[i];
    }
    t.fixed("result").u64[row] = h.result;
    t.variable("buffer").set(row, h.buffer === null ? null : h.buffer.subarray(0, HYPERCALL_BUFFER_BYTES));
    if (h.buffer !== null) mask |= t.bit("buffer");
    t.icount = h.icount;
    t.endRow(mask);
  }

  #optionalName(row: number, column: string, value: string | null): number {
    const t = this.table;
    t.fixed(column).u16[row] = value === null ? 0 : t.dictionary(column).index(value);
    return value === null ? 0 : t.bit(column);
  }
}

/** Writes inputs, interrupts, console text and samples. */
export class EventWriter {
  readonly #inputs: TableWriter;
  readonly #interrupts: TableWriter;
  readonly #console: TableWriter;
  readonly #samples: TableWriter;
  constructor(bundle: BundleWriter) {
    this.#inputs = bundle.table("inputs");
    this.#interrupts = bundle.table("interrupts");
    this.#console = bundle.table("console");
    this.#samples = bundle.table("samples");
  }

  /** Appends an input; its number is its row. @throws StorageError */
  input(i: Omit<Input, "seq">): void {
    writeInput(this.#inputs, i);
  }

  /** Appends an interrupt. @throws StorageError */
  interrupt(i: InterruptEvent): void {
    const t = this.#interrupts, row = t.row;
    t.fixed("icount").setNumber(row, i.icount);
    t.fixed("time_ns").setNumber(row, i.timeNs);
    t.fixed("vcpu").u16[row] = i.vcpu;
    t.fixed("vector").u16[row] = i.vector;
    t.fixed("source").u16[row] = t.dictionary("source").index(i.source);
    t.fixed("port").u32[row] = Math.max(0, i.port);
    t.fixed("raised_icount").setNumber(row, i.raisedIcount);
    t.fixed("rip").setWords(row, i.ripLo, i.ripHi);
    t.icount = i.icount;
    t.endRow(i.port >= 0 ? t.bit("port") : 0);
  }

  /** Appends guest output. @throws StorageError */
  console(icount: number, timeNs: number, device: string, bytes: Uint8Array): void {
    const t = this.#console, row = t.row;
    t.fixed("icount").setNumber(row, icount);
    t.fixed("time_ns").setNumber(row, timeNs);
    t.fixed("device").u16[row] = t.dictionary("device").index(device);
    t.variable("text").setText(row, consoleText(bytes));
    t.icount = icount;
    t.endRow();
  }

  /** Appends a PC sample. @throws StorageError */
  sample(s: SampleEvent): void {
    const t = this.#samples, row = t.row;
    t.fixed("icount").setNumber(row, s.icount);
    t.fixed("vcpu").u16[row] = s.vcpu;
    t.fixed("rip").setWords(row, s.ripLo, s.ripHi);
    t.fixed("cr3").setNumber(row, s.cr3);
    t.fixed("cpl").bytes[row] = s.cpl;
    const stack = t.list("stack");
    for (const address of s.stack) {
      const at = stack.push();
      stack.items[0].u64[at] = address;
    }
    stack.end(row);
    t.icount = s.icount;
    t.endRow();
  }
}
