/**
 * A small trace with hand-made rows, for the tests of `analysis`: tables are written as Arrow IPC with apache-arrow,
 * independently of the recorder.
 *
 * @module
 */
import {
  Binary,
  type DataType,
  Dictionary,
  Field,
  FixedSizeBinary,
  Int16,
  Int64,
  List,
  Struct,
  Table,
  tableToIPC,
  Uint16,
  Uint32,
  Uint64,
  Uint8,
  Utf8,
  vectorFromArray,
} from "apache-arrow";
import type { TraceSource } from "../analysis/session.ts";
import { tableSpec } from "../traces/schema.ts";
import type { ColumnSpec } from "../traces/ipc.ts";

/** A row: columns that are left out are null. */
export type FixtureRow = Record<string, unknown>;

let dictionaryIds = 0;

function arrowType(type: ColumnSpec["type"]): DataType {
  switch (type.kind) {
    case "uint":
      return { 8: new Uint8(), 16: new Uint16(), 32: new Uint32(), 64: new Uint64() }[type.bits];
    case "int":
      return new Int64();
    case "dictionary":
      return new Dictionary(new Utf8(), new Int16(), ++dictionaryIds);
    case "binary":
      return new Binary();
    case "fixed":
      return new FixedSizeBinary(type.bytes);
    case "list":
      return new List(new Field("item", type.items === "uint64" ? new Uint64() : new Struct([]), false));
    default:
      return new Utf8();
  }
}

/** 64-bit columns take numbers too. */
function convert(value: unknown, type: ColumnSpec["type"]): unknown {
  if (value === undefined || value === null) return null;
  const wide = (type.kind === "uint" && type.bits === 64) || type.kind === "int";
  return wide && typeof value === "number" ? BigInt(value) : value;
}

/** Rows of a table as one complete Arrow IPC stream with the table's documented schema. */
export function encodeTable(
  name: string,
  rows: readonly FixtureRow[],
  omit: readonly string[] = [],
): Uint8Array {
  const columns = tableSpec(name).columns.filter((c) => !omit.includes(c.name));
  const table = new Table(
    Object.fromEntries(
      columns.map((
        c,
      ) => [c.name, vectorFromArray(rows.map((r) => convert(r[c.name], c.type)), arrowType(c.type))]),
    ),
  );
  return tableToIPC(table, "stream");
}

/** A source over hand-made tables; `reads` counts how often each table was read. */
export class FixtureSource implements TraceSource {
  readonly tables: readonly string[];
  readonly reads = new Map<string, number>();
  constructor(readonly content: Readonly<Record<string, readonly Uint8Array[]>>) {
    this.tables = Object.keys(content);
  }
  segments(table: string): Iterable<Uint8Array> {
    this.reads.set(table, (this.reads.get(table) ?? 0) + 1);
    return this.content[table];
  }
}

const NAMES: Record<number, string> = {
  0: "VMEXIT_CR0_READ",
  0x14: "VMEXIT_CR4_WRITE",
  0x27: "VMEXIT_DR7_READ",
  0x4e: "VMEXIT_EXCEPTION_PF",
  0x72: "VMEXIT_CPUID",
  0x78: "VMEXIT_HLT",
  0x7b: "VMEXIT_IOIO",
  0x7c: "VMEXIT_MSR",
  0x81: "VMEXIT_VMMCALL",
  0x400: "VMEXIT_NPF",
};

function exit(
  seq: number,
  icount: number,
  reason: number,
  rip: number | bigint,
  more: FixtureRow = {},
): FixtureRow {
  return {
    seq,
    icount,
    time_ns: icount,
    domid: 1,
    vcpu: 0,
    reason: NAMES[reason],
    reason_code: reason,
    rip,
    cs: 8,
    cpl: 0,
    mode: "long",
    cr3: 0x1000,
    ...more,
  };
}

/** EXITINFO1 of a port access. */
const pio = (port: number, size: number, input: boolean) => port * 65536 + size * 16 + (input ? 1 : 0);

/** The rows of the fixture; every number in the tests of the views is worked out from these by hand. */
export const EXITS: readonly FixtureRow[] = [
  exit(0, 100, 0x72, 0x1000, {
    arg0: 0x4000_0000,
    arg1: 0,
    result: 0x6e56_5856_0000_0005n,
    arg2: 0x4d4d_0000_0000n,
  }),
  exit(1, 108, 0x72, 0x1000, { arg0: 1, arg1: 0, result: 7n, arg2: 0x2_0000_0001n }),
  exit(2, 200, 0x7b, 0x1010, { info1: pio(0x42, 1, true), result: 0xab }),
  exit(3, 201, 0x7b, 0x1010, { info1: pio(0x42, 1, true), result: 0xac }),
  exit(4, 300, 0x7b, 0x1020, { info1: pio(0x3f8, 1, false), arg0: 0x41, arg1: 7 }),
  exit(5, 400, 0x7c, 0x1030, { info1: 1, arg0: 0x4000_0000, arg1: 0x5000 }),
  exit(6, 500, 0x7c, 0x1034, { info1: 0, arg0: 0xc000_0080, result: 0xd01 }),
  exit(7, 600, 0x7c, 0x1034, { info1: 0, arg0: 0x1234, injected_vector: 13, error_code: 0 }),
  exit(8, 700, 0x81, 0x2000, { arg0: 18, result: 0 }),
  exit(9, 800, 0x81, 0x2000, { arg0: 29, result: 0, cpl: 3 }),
  exit(10, 900, 0x400, 0x2004, {
    info1: 2,
    info2: 0xfee0_00b0,
    gpa: 0xfee0_00b0,
    gla: 0xfee0_00b0,
    arg0: 0,
    arg1: 4,
  }),
  exit(11, 1000, 0x400, 0x2008, { info1: 0, gpa: 0xfed0_0010, arg1: 4, result: 9 }),
  exit(12, 1100, 0x14, 0x200c, { arg0: 0x20 }),
  exit(13, 1150, 0, 0x200c, { result: 0x11 }),
  exit(14, 1160, 0x27, 0x2010, { result: 0x400 }),
  exit(15, 1170, 0x4e, 0x2014, { info1: 2, gla: 0xdead_0000n, injected_vector: 14, error_code: 2 }),
  exit(16, 1200, 0x78, 0x3000),
  exit(17, 1200, 0x7c, 0xffff_ffff_8100_0000n, {
    info1: 1,
    arg0: 0x80b,
    arg1: 0,
    time_ns: 5200,
    vcpu: 0,
  }),
  exit(18, 1300, 0x78, 0x9000, { vcpu: 1, time_ns: 5300 }),
];

/** Hypercalls of the fixture. */
export const HYPERCALLS: readonly FixtureRow[] = [
  {
    seq: 8,
    icount: 700,
    vcpu: 0,
    nr: 18,
    name: "console_io",
    subop: 0,
    subop_name: "write",
    arg0: 0,
    arg1: 5,
    arg2: 0x8000,
    result: 5,
    buffer: new TextEncoder().encode("hello"),
  },
  {
    seq: 9,
    icount: 800,
    vcpu: 0,
    nr: 13,
    name: "multicall",
    arg0: 0x9000,
    arg1: 2,
    result: 0,
  },
  {
    seq: 9,
    parent_seq: 9,
    icount: 800,
    vcpu: 0,
    nr: 18,
    name: "console_io",
    subop: 0,
    subop_name: "write",
    arg0: 0,
    arg1: 2,
    arg2: 0x8000,
    result: 2,
  },
  {
    seq: 9,
    parent_seq: 9,
    icount: 800,
    vcpu: 0,
    nr: 34,
    name: "hvm_op",
    subop: 1,
    subop_name: "get_param",
    arg0: 1,
    arg1: 0x8100,
    result: -22,
    errno_name: "EINVAL",
  },
];

/** Delivered interrupts of the fixture. */
export const INTERRUPTS: readonly FixtureRow[] = [
  {
    icount: 1200,
    time_ns: 5200,
    vcpu: 0,
    vector: 0xf3,
    source: "evtchn",
    port: 3,
    raised_icount: 1200,
    rip: 0x3001,
  },
  {
    icount: 1250,
    time_ns: 5250,
    vcpu: 0,
    vector: 0xf3,
    source: "evtchn",
    port: 3,
    raised_icount: 1210,
    rip: 0x3002,
  },
  { icount: 1260, time_ns: 5260, vcpu: 1, vector: 0x20, source: "pic", raised_icount: 1250, rip: 0x3003 },
];

/** Symbols of the fixture: a gap from 0x1040 to 0x2000; `_end` has no size. */
export const SYMBOLS: readonly FixtureRow[] = [
  { start: 0x1000, size: 0x20, name: "probe", module: "kernel", source: "elf" },
  { start: 0x1020, size: 0x20, name: "setup", module: "kernel", source: "elf" },
  { start: 0x2000, size: 0x100, name: "main", module: "kernel", source: "elf" },
  { start: 0xffff_ffff_8000_0000n, size: 0, name: "_high", module: "kernel", source: "kallsyms" },
];

/** PC samples of the fixture. */
export const SAMPLES: readonly FixtureRow[] = [
  { icount: 100, vcpu: 0, rip: 0x1004, cr3: 0, cpl: 0, stack: [0x2004n, 0x2008n] },
  { icount: 200, vcpu: 0, rip: 0x1008, cr3: 0, cpl: 0, stack: [] },
  { icount: 300, vcpu: 0, rip: 0x2004, cr3: 0, cpl: 0, stack: [] },
  { icount: 400, vcpu: 0, rip: 0x1050, cr3: 0, cpl: 0, stack: [] },
];

/** Console output of the fixture. */
export const CONSOLE: readonly FixtureRow[] = [
  { icount: 700, time_ns: 700, device: "xen", text: "hel" },
  { icount: 800, time_ns: 800, device: "xen", text: "lo\n" },
  { icount: 750, time_ns: 750, device: "uart0", text: "A" },
];

/** The whole fixture; exits come in two streams, as segments of a bundle do. */
export function fixture(): FixtureSource {
  return new FixtureSource({
    exits: [encodeTable("exits", EXITS.slice(0, 10)), encodeTable("exits", EXITS.slice(10))],
    hypercalls: [encodeTable("hypercalls", HYPERCALLS)],
    interrupts: [encodeTable("interrupts", INTERRUPTS)],
    symbols: [encodeTable("symbols", SYMBOLS)],
    samples: [encodeTable("samples", SAMPLES)],
    console: [encodeTable("console", CONSOLE)],
  });
}
