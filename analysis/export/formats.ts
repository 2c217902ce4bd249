/**
 * The formats that recordings are exported to.
 *
 * @module
 */
import { chrome } from "./chrome.ts";
import { csv } from "./csv.ts";
import type { Exporter } from "./exporter.ts";
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
  write: Exporter;
}

/** All formats, in the order in which help lists them. */
export const FORMATS: readonly Format[] = [
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
    name: "xentrace",
    suffix: ".xentrace",
    readBy: "xenalyze --svm-mode",
    binary: true,
    oneTable: false,
    write: xentrace,
  },
];
