/**
 * Copies exits into the columns of the `exits` table: words to words, no allocation.
 *
 * @module
 */
import { Col, COLS, type ExitEvent, reasonName } from "../core/exits.ts";
import type { Dictionary, FixedColumn } from "../traces/columns.ts";
import type { TableWriter } from "../traces/writer.ts";

/** Bits of the row mask that follow those of `Col`: the table's nullable columns are in the order of `Col`. */
export const INJECTED_VECTOR_BIT: number = 1 << COLS, ERROR_CODE_BIT: number = 2 << COLS;

/** Writes exits. */
export class ExitWriter {
  readonly #seq: FixedColumn;
  readonly #icount: FixedColumn;
  readonly #timeNs: FixedColumn;
  readonly #domid: Uint16Array;
  readonly #vcpu: Uint16Array;
  readonly #reason: Uint16Array;
  readonly #reasonCode: Uint32Array;
  readonly #cs: Uint16Array;
  readonly #cpl: Uint8Array;
  readonly #mode: Uint16Array;
  readonly #vector: Uint16Array;
  readonly #errorCode: Uint32Array;
  readonly #words: Uint32Array[];
  readonly #names: Dictionary;
  /** Dictionary index + 1 by reason code, for codes below its length. */
  readonly #nameIndex = new Uint16Array(0x800);

  constructor(readonly table: TableWriter) {
    const t = table;
    this.#seq = t.fixed("seq");
    this.#icount = t.fixed("icount");
    this.#timeNs = t.fixed("time_ns");
    this.#domid = t.fixed("domid").u16;
    this.#vcpu = t.fixed("vcpu").u16;
    this.#reason = t.fixed("reason").u16;
    this.#reasonCode = t.fixed("reason_code").u32;
    this.#cs = t.fixed("cs").u16;
    this.#cpl = t.fixed("cpl").bytes;
    this.#mode = t.fixed("mode").u16;
    this.#vector = t.fixed("injected_vector").u16;
    this.#errorCode = t.fixed("error_code").u32;
    this.#words = Object.keys(Col).map((name) => t.fixed(name).u32);
    this.#names = t.dictionary("reason");
    for (const [name, n] of Object.entries(Col)) {
      if (t.bit(name) !== 1 << n) throw new Error(`Column ${name} of exits is not at the place of its bit`);
    }
  }

  #name(reason: number): number {
    if (reason >= this.#nameIndex.length) return this.#names.index(reasonName(reason));
    return (this.#nameIndex[reason] ||= this.#names.index(reasonName(reason)) + 1) - 1;
  }

  /** Appends one exit. @throws StorageError */
  write(e: ExitEvent): void {
    const t = this.table, row = t.row, pair = row * 2;
    this.#seq.setNumber(row, e.seq);
    this.#icount.setNumber(row, e.icount);
    this.#timeNs.setNumber(row, e.timeNs);
    this.#domid[row] = e.domid;
    this.#vcpu[row] = e.vcpu;
    this.#reason[row] = this.#name(e.reason);
    this.#reasonCode[row] = e.reason;
    this.#cs[row] = e.cs;
    this.#cpl[row] = e.cpl;
    this.#mode[row] = e.mode;
    const words = e.words, columns = this.#words;
    for (let i = 0; i < COLS; i++) {
      const column = columns[i];
      column[pair] = words[i * 2];
      column[pair + 1] = words[i * 2 + 1];
    }
    let mask = e.present;
    if (e.injectedVector >= 0) {
      this.#vector[row] = e.injectedVector;
      mask |= INJECTED_VECTOR_BIT;
    } else this.#vector[row] = 0;
    if (e.errorCode >= 0) {
      this.#errorCode[row] = e.errorCode;
      mask |= ERROR_CODE_BIT;
    } else this.#errorCode[row] = 0;
    t.icount = e.icount;
    t.endRow(mask);
  }
}
