/**
 * The formats that recordings are exported to.
 *
 * @module
 */
import { chrome } from "./chrome.ts";
import { csv } from "./csv.ts";
import { ctf } from "./ctf.ts";
import type { Exporter, ExportFile, ExportInput } from "./exporter.ts";
import { parquet } from "./parquet.ts";
import { perfetto } from "./perfetto.ts";
import { folded, pprof, speedscope } from "./profiles.ts";
import { xentrace } from "./xentrace.ts";

/** One format. */
export interface Format {
  name: string;
  /** Ending of file names, with its dot. */
  suffix: string;
  /** What reads it. */
  readBy: string;
  /** Not for terminals. */
  binary: boolean;
  /** Writes one table or view (`ExportInput.table`), not the whole recording. */
  oneTable: boolean;
  /** Left out for a format that is a folder. */
  write?: Exporter;
  /** Files of a format that is a folder. */
  files?: (input: ExportInput) => Iterable<ExportFile>;
}

/** All formats, in the order in which help lists them. */
export const FORMATS: readonly Format[] = [
  {
    name: "perfetto",
    suffix: ".pftrace",
    readBy: "ui.perfetto.dev, trace_processor",
    binary: true,
    oneTable: false,
    write: perfetto,
  },
  {
    name: "chrome",
    suffix: ".json",
    readBy: "chrome://tracing, ui.perfetto.dev",
    binary: false,
    oneTable: false,
    write: chrome,
  },
  {
    name: "speedscope",
    suffix: ".speedscope.json",
    readBy: "speedscope",
    binary: false,
    oneTable: false,
    write: speedscope,
  },
  { name: "pprof", suffix: ".pb.gz", readBy: "go tool pprof", binary: true, oneTable: false, write: pprof },
  {
    name: "folded",
    suffix: ".folded",
    readBy: "flamegraph.pl, inferno, speedscope",
    binary: false,
    oneTable: false,
    write: folded,
  },
  { name: "csv", suffix: ".csv", readBy: "everything", binary: false, oneTable: true, write: csv },
  {
    name: "parquet",
    suffix: ".parquet",
    readBy: "DuckDB, ClickHouse, pandas, Spark",
    binary: true,
    oneTable: true,
    write: parquet,
  },
  {
    name: "ctf",
    suffix: ".ctf",
    readBy: "babeltrace2, Trace Compass",
    binary: true,
    oneTable: false,
    files: ctf,
  },
  {
    name: "xentrace",
    suffix: ".xentrace",
    readBy: "xenalyze --svm-mode",
    binary: true,
    oneTable: false,
    write: xentrace,
  },
];
