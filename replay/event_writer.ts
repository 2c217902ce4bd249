/**
 * Copies the less frequent events into their tables.
 *
 * @module
 */
import type { SymbolRow } from "../core/boot/guest_symbols.ts";
import type { HypercallEvent, InterruptEvent, SampleEvent } from "../core/exits.ts";
import type { Input } from "../core/inputs.ts";
import type { BundleWriter } from "../traces/bundle_writer.ts";
import type { Dictionary, FixedColumn, VariableColumn } from "../traces/columns.ts";
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

/** A column of optional names. */
class NameColumn {
  readonly #values: Uint16Array;
  readonly #names: Dictionary;
  readonly #bit: number;
  /** Neighbours often have the same name. */
  #last: string | null = null;
  #lastIndex = 0;
  constructor(table: TableWriter, column: string) {
    this.#values = table.fixed(column).u16;
    this.#names = table.dictionary(column);
    this.#bit = table.bit(column);
  }

  /** Sets a row's name. @returns its bit of the row mask */
  set(row: number, value: string | null): number {
    if (value === null) {
      this.#values[row] = 0;
      return 0;
    }
    if (value !== this.#last) {
      this.#last = value;
      this.#lastIndex = this.#names.index(value);
    }
    this.#values[row] = this.#lastIndex;
    return this.#bit;
  }
}

/** A column of numbers of which negative ones mean null. */
class NumberColumn {
  readonly #values: FixedColumn;
  readonly #bit: number;
  constructor(table: TableWriter, column: string) {
    this.#values = table.fixed(column);
    this.#bit = table.bit(column);
  }

  /** Sets a row's number. @returns its bit of the row mask */
  set(row: number, value: number): number {
    this.#values.setNumber(row, Math.max(0, value));
    return value < 0 ? 0 : this.#bit;
  }
}

/** Writes hypercalls. */
export class HypercallWriter {
  readonly #numbers: Record<"seq" | "parent_seq" | "icount" | "nr" | "subop", NumberColumn>;
  readonly #names: Record<"name" | "subop_name" | "errno_name", NameColumn>;
  readonly #args: BigUint64Array[];
  readonly #argBits: number[];
  readonly #vcpu: Uint16Array;
  readonly #result: BigUint64Array;
  readonly #buffer: VariableColumn;
  readonly #bufferBit: number;

  constructor(readonly table: TableWriter) {
    const number = (column: string) => new NumberColumn(table, column);
    const name = (column: string) => new NameColumn(table, column);
    this.#numbers = {
      seq: number("seq"),
      parent_seq: number("parent_seq"),
      icount: number("icount"),
      nr: number("nr"),
      subop: number("subop"),
    };
    this.#names = { name: name("name"), subop_name: name("subop_name"), errno_name: name("errno_name") };
    const args = Array.from({ length: HYPERCALL_ARGS }, (_, i) => `arg${i}`);
    this.#args = args.map((n) => table.fixed(n).u64);
    this.#argBits = args.map((n) => table.bit(n));
    this.#vcpu = table.fixed("vcpu").u16;
    this.#result = table.fixed("result").u64;
    this.#buffer = table.variable("buffer");
    this.#bufferBit = table.bit("buffer");
  }

  /** Appends one. @throws StorageError */
  write(h: HypercallEvent): void {
    const row = this.table.row, n = this.#numbers, names = this.#names;
    n.seq.set(row, h.seq);
    n.icount.set(row, h.icount);
    n.nr.set(row, h.nr);
    names.name.set(row, h.name);
    this.#vcpu[row] = h.vcpu;
    this.#result[row] = h.result;
    let mask = n.parent_seq.set(row, h.parentSeq) | n.subop.set(row, h.subop);
    mask |= names.subop_name.set(row, h.subopName) | names.errno_name.set(row, h.errnoName);
    for (let i = 0; i < HYPERCALL_ARGS; i++) {
      this.#args[i][row] = h.args[i] ?? 0n;
      if (i < h.args.length) mask |= this.#argBits[i];
    }
    this.#buffer.set(row, h.buffer === null ? null : h.buffer.subarray(0, HYPERCALL_BUFFER_BYTES));
    if (h.buffer !== null) mask |= this.#bufferBit;
    this.table.icount = h.icount;
    this.table.endRow(mask);
  }
}

/** Writes inputs, interrupts, console text, samples and symbols. */
export class EventWriter {
  readonly #inputs: TableWriter;
  readonly #interrupts: TableWriter;
  readonly #console: TableWriter;
  readonly #samples: TableWriter;
  readonly #symbols: TableWriter;
  constructor(bundle: BundleWriter) {
    this.#inputs = bundle.table("inputs");
    this.#interrupts = bundle.table("interrupts");
    this.#console = bundle.table("console");
    this.#samples = bundle.table("samples");
    this.#symbols = bundle.table("symbols");
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

  /** Appends a symbol. @throws StorageError */
  symbol(s: SymbolRow): void {
    const t = this.#symbols, row = t.row;
    t.fixed("start").setWords(row, Number(s.start & 0xffff_ffffn), Number(s.start >> 32n));
    t.fixed("size").setNumber(row, s.size);
    t.variable("name").setText(row, s.name);
    t.fixed("module").u16[row] = t.dictionary("module").index(s.module);
    t.fixed("source").u16[row] = t.dictionary("source").index(s.source);
    t.endRow();
  }
}
