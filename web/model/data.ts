/**
 * A recording as the viewer holds it: columns of small integers that a brush can count over in milliseconds, whatever
 * range it selects.
 *
 * Everything here runs in browsers and in Deno alike.
 *
 * @module
 */

/** What is known about the recording as a whole. Texts are the guest's: never markup. */
export interface TraceInfo {
  guest: string;
  cmdline: string;
  /** Kind of ending and a sentence about it. */
  outcome: string;
  /** One line: type, vCPUs, memory. */
  machine: string;
  icount: number;
  /** Instructions between two regular samples; 0: not sampled. */
  sampleInterval: number;
  /** True when the recording was cut. */
  recovered: boolean;
}

/** A hypercall with its sub-operation; null when it has none. */
export interface CallKind {
  name: string;
  subop: string | null;
}

/** Where delivered interrupts come from. */
export interface InterruptKind {
  vcpu: number;
  vector: number;
  source: string;
}

/** All of it. Times are virtual nanoseconds, ascending within each group of columns. */
export interface ModelData {
  info: TraceInfo;
  /** End of the recording. */
  endNs: number;
  /** Exit reasons that occur. */
  reasons: string[];
  /** Function names; 0 is for addresses that no symbol covers. */
  functions: string[];
  callKinds: CallKind[];
  interruptKinds: InterruptKind[];
  /** Devices that text was printed on. */
  devices: string[];
  /** Console text by line. */
  lines: string[];
  columns: ModelColumns;
}

/** The columns. `kind*`, `place*` and `path*` are dictionaries that other columns index. */
export interface ModelColumns {
  /** Per exit: when. */
  exitTime: Float64Array;
  /** Per exit: index of (vCPU, reason). */
  exitKind: Uint16Array;
  /** Per exit: index of (address, reason). */
  exitPlace: Uint32Array;
  kindVcpu: Uint16Array;
  kindReason: Uint16Array;
  /** Low and high words of the address. */
  placeLow: Uint32Array;
  placeHigh: Uint32Array;
  placeReason: Uint16Array;
  placeFunction: Uint32Array;
  /** Per place: its node in the tree when its callers are not known. */
  placePath: Uint32Array;
  /** Stacks as a tree: parent of each node (0 is the root, its own parent) and its label, see `labelName`. */
  pathParent: Uint32Array;
  pathLabel: Uint32Array;
  /** Exits whose stack was sampled: number of the exit, ascending, and its node with all callers. */
  stackExit: Uint32Array;
  stackPath: Uint32Array;
  /** Regular samples: when, and the node of the sampled function. */
  sampleTime: Float64Array;
  samplePath: Uint32Array;
  /** Hypercalls: number of their exit, ascending; kind; 1 where an error was returned. */
  callExit: Uint32Array;
  callKind: Uint16Array;
  callFailed: Uint8Array;
  /** Interrupts: when delivered; kind. */
  interruptTime: Float64Array;
  interruptKind: Uint16Array;
  /** Times in which a vCPU did nothing: from HLT to its next interrupt or exit. */
  haltStart: Float64Array;
  haltEnd: Float64Array;
  haltVcpu: Uint16Array;
  /** Console lines: when the first character came; device. */
  lineTime: Float64Array;
  lineDevice: Uint16Array;
}

/** Set in labels that stand for exit reasons; the others are numbers of functions. */
export const REASON_LABEL = 0x8000_0000;

/** What a node of the tree of stacks is called. */
export function labelName(data: Pick<ModelData, "functions" | "reasons">, label: number): string {
  return label >= REASON_LABEL ? data.reasons[label - REASON_LABEL] : data.functions[label];
}

/** First index from `low` to `high` whose value is not below `x`. */
export function lowerBound(
  values: Float64Array | Uint32Array,
  x: number,
  low = 0,
  high = values.length,
): number {
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The same, quicker where the answer is near `low`. */
export function lowerBoundNear(
  values: Float64Array | Uint32Array,
  x: number,
  low: number,
  high = values.length,
): number {
  for (let step = 64, at = low + step; at < high; at = low + step) {
    if (values[at] >= x) return lowerBound(values, x, low, at);
    low = at;
    step *= 2;
  }
  return lowerBound(values, x, low, high);
}
