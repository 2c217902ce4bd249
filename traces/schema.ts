/**
 * The tables of a recording. Names and order of columns are the file format: readers open all older versions, so columns
 * are only ever added, and values only ever given a new meaning, under a new version number.
 *
 * @module
 */
import { MODE_NAMES, Reason, reasonName } from "../core/exits.ts";
import type { Bits, ColumnSpec, ColumnType } from "./ipc.ts";

/**
 * Version of the tables and the manifest. 2: checkpoints may refer to pages as the images load (`LOADED_PAGE`). The
 * columns are those of version 1.
 */
export const FORMAT_VERSION = 2;

/**
 * Number of a page, in `checkpoints.pages`, that is what a machine made from the recording's configuration, images and
 * first inputs holds there before it runs. Since version 2.
 */
export const LOADED_PAGE = 0xffff_ffff;

/** Value that stands for all further names once an open dictionary is full. */
export const OTHER_NAME = "(other)";

/** What is known about one table. */
export interface TableSpec {
  readonly name: string;
  readonly columns: readonly ColumnSpec[];
  /** Rows in a full batch unless asked otherwise. */
  readonly defaultRows: number;
}

type Draft = readonly [name: string, type: ColumnType, nullable?: "nullable"];

const uint = (bits: Bits): ColumnType => ({ kind: "uint", bits });
const U64 = uint(64), U32 = uint(32), U16 = uint(16), U8 = uint(8), UTF8: ColumnType = { kind: "utf8" };
const BINARY: ColumnType = { kind: "binary" }, HASH: ColumnType = { kind: "fixed", bytes: 32 };

/** Names known beforehand, all that there are. */
function closed(values: readonly string[]): ColumnType {
  return { kind: "dictionary", values, open: false };
}

/** Names that turn up while recording, after those known beforehand. */
function open(values: readonly string[] = []): ColumnType {
  return { kind: "dictionary", values: [OTHER_NAME, ...values], open: true };
}

function table(name: string, defaultRows: number, drafts: readonly Draft[]): TableSpec {
  let bit = 0;
  const columns = drafts.map(([column, type, nullable]): ColumnSpec => ({
    name: column,
    type,
    nullBit: nullable ? bit++ : -1,
  }));
  return { name, defaultRows, columns };
}

/** Codes of all reasons that have a name before any is recorded, ascending. */
export const REASON_CODES: readonly number[] = (() => {
  const codes = new Set<number>(Object.values(Reason));
  for (let c = 0; c < 0x60; c++) codes.add(c);
  return [...codes].sort((a, b) => a - b);
})();

/** Kinds of `inputs`. */
export const INPUT_KINDS = ["console", "rtc", "entropy", "net", "fault", "debugger"] as const;

/** Exit columns whose nullability follows `Col` of core/exits.ts: bit n of the mask is column n there. */
const EXITS = table("exits", 8192, [
  ["seq", U64],
  ["icount", U64],
  ["time_ns", U64],
  ["domid", U16],
  ["vcpu", U16],
  ["reason", open(REASON_CODES.map(reasonName))],
  ["reason_code", U32],
  ["info1", U64, "nullable"],
  ["info2", U64, "nullable"],
  ["rip", U64, "nullable"],
  ["cs", U16],
  ["cpl", U8],
  ["mode", closed(MODE_NAMES)],
  ["cr3", U64, "nullable"],
  ["gpa", U64, "nullable"],
  ["gla", U64, "nullable"],
  ["arg0", U64, "nullable"],
  ["arg1", U64, "nullable"],
  ["arg2", U64, "nullable"],
  ["result", U64, "nullable"],
  ["injected_vector", U16, "nullable"],
  ["error_code", U32, "nullable"],
]);

const HYPERCALLS = table("hypercalls", 8192, [
  ["seq", U64],
  ["parent_seq", U64, "nullable"],
  ["icount", U64],
  ["vcpu", U16],
  ["nr", U64],
  ["name", open()],
  ["subop", U64, "nullable"],
  ["subop_name", open(), "nullable"],
  ["arg0", U64, "nullable"],
  ["arg1", U64, "nullable"],
  ["arg2", U64, "nullable"],
  ["arg3", U64, "nullable"],
  ["arg4", U64, "nullable"],
  ["arg5", U64, "nullable"],
  ["result", { kind: "int", bits: 64 }],
  ["errno_name", open(), "nullable"],
  ["buffer", BINARY, "nullable"],
]);

const INPUTS = table("inputs", 8192, [
  ["seq", U64],
  ["icount", U64],
  ["time_ns", U64],
  ["vcpu", U16],
  ["kind", closed(INPUT_KINDS)],
  ["target", UTF8],
  ["payload", BINARY],
]);

const INTERRUPTS = table("interrupts", 8192, [
  ["icount", U64],
  ["time_ns", U64],
  ["vcpu", U16],
  ["vector", U16],
  ["source", open()],
  ["port", U32, "nullable"],
  ["raised_icount", U64],
  ["rip", U64],
]);

/** Regular samples lie at multiples of the configuration's `sampleInterval`; others were taken at exits. */
const SAMPLES = table("samples", 8192, [
  ["icount", U64],
  ["vcpu", U16],
  ["rip", U64],
  ["cr3", U64],
  ["cpl", U8],
  ["stack", { kind: "list", items: "uint64" }],
]);

const CONSOLE = table("console", 8192, [
  ["icount", U64],
  ["time_ns", U64],
  ["device", open()],
  ["text", UTF8],
]);

/** The counters say how many rows of each table precede the checkpoint. */
const CHECKPOINTS = table("checkpoints", 16, [
  ["id", U64],
  ["icount", U64],
  ["time_ns", U64],
  ["exits", U64],
  ["hypercalls", U64],
  ["inputs", U64],
  ["interrupts", U64],
  ["console", U64],
  ["samples", U64],
  ["hash", HASH],
  ["state", BINARY],
  // Pages changed since the checkpoint before: `count` pages from `gfn` on. `page` 0 is the zero page; with a count
  // above 1 all are, or all are `LOADED_PAGE`. `kind` is 0 for RAM, 1 for ROM, 2 for no longer backed.
  ["pages", {
    kind: "list",
    items: [{ name: "gfn", bits: 64 }, { name: "count", bits: 32 }, { name: "page", bits: 32 }, {
      name: "kind",
      bits: 8,
    }],
  }],
]);

const PAGES = table("pages", 512, [
  ["id", U64],
  ["hash", HASH],
  ["bytes", { kind: "fixed", bytes: 4096 }],
]);

/** Code as the guest's virtual addresses at the end of the run, ascending, one name an address. */
const SYMBOLS = table("symbols", 8192, [
  ["start", U64],
  ["size", U64],
  ["name", UTF8],
  ["module", open()],
  ["source", open()],
]);

/** Files longer than a chunk take several rows; `sha256` is of the whole file. */
const IMAGES = table("images", 4, [
  ["role", UTF8],
  ["name", UTF8],
  ["sha256", HASH],
  ["offset", U64],
  ["bytes", BINARY],
]);

/** Every table of a recording apart from `seals`, in the order in which they are listed. */
export const TABLES: readonly TableSpec[] = [
  IMAGES,
  EXITS,
  HYPERCALLS,
  INPUTS,
  INTERRUPTS,
  SAMPLES,
  CONSOLE,
  PAGES,
  CHECKPOINTS,
  SYMBOLS,
];

/** Kinds of sealed blocks. */
export const SEAL_KINDS = ["schema", "batch", "dictionary", "end", "commit"] as const;

/**
 * One row a block, each row a batch of its own, written after the block. Kind "commit" seals no block: it says that
 * every table is complete up to `icount`; its `offset` is its own.
 * `seal_crc32c` covers the row's own message, with itself taken as zero.
 */
export const SEALS: TableSpec = table("seals", 1, [
  ["table", closed([...TABLES.map((t) => t.name), "seals"])],
  ["kind", closed(SEAL_KINDS)],
  ["batch", U64],
  ["offset", U64],
  ["bytes", U64],
  ["rows", U64],
  ["crc32c", U32],
  ["icount", U64],
  ["seal_crc32c", U32],
]);

/** The table of a name. @throws RangeError for an unknown name */
export function tableSpec(name: string): TableSpec {
  const t = name === "seals" ? SEALS : TABLES.find((t) => t.name === name);
  if (t === undefined) throw new RangeError(`Cannot find table ${name}: a recording has no such table`);
  return t;
}

/** Position of a column in a table. @throws RangeError for an unknown name */
export function columnIndex(spec: TableSpec, column: string): number {
  const i = spec.columns.findIndex((c) => c.name === column);
  if (i < 0) throw new RangeError(`Cannot find column ${column}: table ${spec.name} has no such column`);
  return i;
}
