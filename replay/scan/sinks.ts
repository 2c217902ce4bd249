/**
 * What re-execution tells, kept as rows.
 *
 * @module
 */
import type { EventSink, Pair, Range, Transfer } from "../../core/cpu/instrument/events.ts";
import { Accessor } from "../../core/mmu/access.ts";
import type { RetrovisorMachine } from "../../core/machine.ts";
import { finished, Rows, type ScanTable, type Width } from "./rows.ts";

const TWO32 = 0x1_0000_0000;

/** Instruction counts of interest: `[from, to)`. */
export interface Window {
  from: number;
  to: number;
}

const ACCESS = {
  icount: 64,
  vcpu: 8,
  source: 8,
  rip: 64,
  address: 64,
  gpa: 64,
  size: 8,
  value: 64,
} as const satisfies Record<string, Width>;

/** A pair that stands for a linear address that there is not. */
const NOWHERE: Pair = { lo: 0, hi: 0 };

/** Keeps accesses, at most 8 bytes a row. */
export class AccessSink implements EventSink {
  rows: Rows<keyof typeof ACCESS>;
  /** Rows from here on wait for their values. */
  #settled = 0;
  #mark = 0;
  readonly #at: Pair = { lo: 0, hi: 0 };

  constructor(
    readonly machine: RetrovisorMachine,
    readonly window: Window,
    readonly range: Range | null,
    most?: number,
  ) {
    this.rows = new Rows(ACCESS, most);
  }

  access(
    write: boolean,
    source: number,
    icount: number,
    rip: Pair,
    la: Pair | null,
    gpa: number,
    size: number,
    value: Pair | null,
  ): void {
    this.settle();
    if (icount < this.window.from || icount >= this.window.to) return;
    const at = this.#at;
    for (let done = 0; done < size; done += 8) {
      const n = Math.min(8, size - done);
      at.lo = ((la ?? NOWHERE).lo + done) >>> 0;
      at.hi = ((la ?? NOWHERE).hi + ((la ?? NOWHERE).lo + done >= TWO32 ? 1 : 0)) >>> 0;
      if (!this.#inside(la === null ? null : at, gpa + done, n)) continue;
      if (value === null && source === Accessor.CPU) this.#forget(icount, rip, at);
      const { rows } = this, row = rows.add();
      rows.setNumber("icount", row, icount);
      rows.columns.vcpu[row] = this.machine.vcpus.active;
      rows.columns.source[row] = source;
      rows.setWords("rip", row, rip.lo, rip.hi);
      rows.setWords("address", row, at.lo, at.hi);
      rows.setNumber("gpa", row, gpa + done);
      rows.columns.size[row] = n;
      if (value !== null) rows.setWords("value", row, value.lo, value.hi);
    }
    if (value !== null) this.#settled = this.rows.count;
    else if (!write) this.settle();
  }

  /** A slow path may be taken twice for one access: the row of the first time goes. */
  #forget(icount: number, rip: Pair, la: Pair): void {
    const { rows } = this, { columns: c } = rows;
    const is = (column: Uint8Array | Uint32Array, row: number, p: Pair): boolean =>
      column[row * 2] === p.lo && column[row * 2 + 1] === p.hi;
    for (let row = rows.count - 1; row >= 0 && rows.number("icount", row) === icount; row--) {
      if (c.source[row] !== Accessor.CPU || !is(c.rip, row, rip) || !is(c.address, row, la)) continue;
      for (const name of Object.keys(ACCESS) as (keyof typeof ACCESS)[]) {
        const words = ACCESS[name] === 64 ? 2 : 1;
        c[name].copyWithin(row * words, (row + 1) * words, rows.count * words);
      }
      this.#settled = --rows.count;
      return;
    }
  }

  #inside(la: Pair | null, gpa: number, size: number): boolean {
    const { range } = this;
    if (range === null || (la === null && !range.physical)) return true;
    const at = range.physical ? gpa : (la!.hi | 0) * TWO32 + la!.lo;
    return at < range.from + range.bytes && at + size > range.from;
  }

  /** Reads the bytes of writes that were told before they happened. */
  settle(): void {
    const { rows, machine: { mem } } = this;
    for (; this.#settled < rows.count; this.#settled++) {
      const row = this.#settled, gpa = rows.number("gpa", row);
      let lo = 0, hi = 0;
      for (let i = rows.columns.size[row] - 1; i >= 0; i--) {
        const byte = mem.read8(gpa + i);
        if (i >= 4) hi = (hi << 8 | byte) >>> 0;
        else lo = (lo << 8 | byte) >>> 0;
      }
      rows.setWords("value", row, lo, hi);
    }
  }

  instruction(): void {}
  transfer(): void {}

  mark(): void {
    this.settle();
    this.#mark = this.rows.count;
  }

  undo(icount: number): void {
    this.settle();
    const { rows } = this;
    while (rows.count > this.#mark && rows.number("icount", rows.count - 1) >= icount) rows.count--;
    this.#settled = rows.count;
  }

  finish(): ScanTable {
    this.settle();
    return finished(this.rows);
  }
}

const INSTRUCTION = { icount: 64, vcpu: 8, rip: 64, code: 32 } as const satisfies Record<string, Width>;

/** Keeps the instructions that retired, one row for each; a repeated string instruction is one. */
export class InstructionSink implements EventSink {
  readonly rows: Rows<keyof typeof INSTRUCTION>;

  constructor(readonly machine: RetrovisorMachine, readonly window: Window, most?: number) {
    this.rows = new Rows(INSTRUCTION, most);
  }

  instruction(icount: number, rip: Pair, code: number, repeated: boolean): void {
    const { rows, window } = this, c = rows.columns, last = rows.count - 1;
    if (last >= 0) {
      // It was told once before, or what was told at this count did not retire.
      if (rows.number("icount", last) >= icount) rows.count--;
      else if (repeated && c.rip[last * 2] === rip.lo && c.rip[last * 2 + 1] === rip.hi) return;
    }
    if (icount < window.from || icount >= window.to) return;
    const row = rows.add();
    rows.setNumber("icount", row, icount);
    c.vcpu[row] = this.machine.vcpus.active;
    rows.setWords("rip", row, rip.lo, rip.hi);
    c.code[row] = code;
  }

  access(): void {}
  transfer(): void {}
  mark(): void {}
  undo(icount: number): void {
    const { rows } = this;
    while (rows.count > 0 && rows.number("icount", rows.count - 1) >= icount) rows.count--;
  }
  settle(): void {}

  /** @param codes what the instructions' codes stand for */
  finish(codes: string[] = []): ScanTable {
    this.undo(this.machine.icount);
    return finished(this.rows, codes);
  }
}

const TRANSFER = {
  icount: 64,
  vcpu: 8,
  code: 32,
  vector: 32,
  taken: 8,
  rip: 64,
  target: 64,
  rsp: 64,
  rdi: 64,
  rsi: 64,
  rdx: 64,
} as const satisfies Record<string, Width>;

/** Kinds of transfer that are calls, events and returns. */
const CALLS: ReadonlySet<string> = new Set(
  ("call call_ind ret call_far_ptr call_far_mem ret_far int_n int3 into icebp iret syscall sysret sysenter sysexit " +
    "interrupt exception").split(" "),
);

/** Keeps transfers of control. */
export class TransferSink implements EventSink {
  readonly rows: Rows<keyof typeof TRANSFER>;
  readonly #kinds: string[] = [];
  readonly #ids = new Map<string, number>();
  #mark = 0;

  /** @param calls only calls, returns and events */
  constructor(
    readonly machine: RetrovisorMachine,
    readonly window: Window,
    readonly calls: boolean,
    most?: number,
  ) {
    this.rows = new Rows(TRANSFER, most);
  }

  transfer(t: Transfer): void {
    const { rows, window } = this;
    if (t.icount < window.from || t.icount >= window.to || (this.calls && !CALLS.has(t.kind))) return;
    const row = rows.add(), c = rows.columns;
    rows.setNumber("icount", row, t.icount);
    c.vcpu[row] = this.machine.vcpus.active;
    c.code[row] = this.#kind(t.kind);
    c.vector[row] = t.vector;
    c.taken[row] = t.target.lo === t.next.lo && t.target.hi === t.next.hi ? 0 : 1;
    rows.setWords("rip", row, t.rip.lo, t.rip.hi);
    rows.setWords("target", row, t.target.lo, t.target.hi);
    const [rdi, rsi, rdx, rsp] = t.registers;
    rows.setWords("rsp", row, rsp.lo, rsp.hi);
    rows.setWords("rdi", row, rdi.lo, rdi.hi);
    rows.setWords("rsi", row, rsi.lo, rsi.hi);
    rows.setWords("rdx", row, rdx.lo, rdx.hi);
  }

  #kind(name: string): number {
    let id = this.#ids.get(name);
    if (id === undefined) {
      this.#ids.set(name, id = this.#kinds.length);
      this.#kinds.push(name);
    }
    return id;
  }

  access(): void {}
  instruction(): void {}
  mark(): void {
    this.#mark = this.rows.count;
  }
  undo(icount: number): void {
    const { rows } = this;
    while (rows.count > this.#mark && rows.number("icount", rows.count - 1) >= icount) rows.count--;
  }
  settle(): void {}

  finish(): ScanTable {
    return finished(this.rows, this.#kinds);
  }
}
