/**
 * Reads an open recording into the viewer's model, once through.
 *
 * @module
 */
import type { TraceSource } from "../../analysis/session.ts";
import type { TraceSummary } from "../../analysis/summary.ts";
import { Reason, reasonName } from "../../core/exits.ts";
import type { Batch } from "../../traces/batch.ts";
import { isNull } from "../../traces/batch.ts";
import type { Bundle } from "../../traces/bundle.ts";
import type { ModelData, TraceInfo } from "../model/data.ts";
import { PairTable } from "../model/intern.ts";
import { HaltReader, readCalls, readConsole, readInterrupts } from "./events.ts";
import { StackReader, wide } from "./stacks.ts";
import { FunctionTable } from "./symbols.ts";

/** Most pairs of vCPU and reason, and of address and reason, that are told apart; the last stands for all others. */
const KINDS_MAX = 1 << 12, PLACES_MAX = 1 << 20;
/** MSRs with which a guest names its hypercall page (see `analysis/views/code_ranges.sql`). */
const HYPERCALL_PAGE_MSRS = [0x4000_0000, 0x4000_0200];

/**
 * Reads the model. It yields now and then with the share that is done, so that a server can answer meanwhile.
 * Errors: `TraceError`.
 * @param source where table `symbols` comes from
 */
export function* readModel(
  bundle: Bundle,
  source: TraceSource,
  summary: TraceSummary,
): Generator<number, ModelData> {
  const exits = bundle.table("exits");
  const calls = readCalls(bundle, exits.rows), interrupts = readInterrupts(bundle);
  const console = readConsole(bundle);
  yield 0.1;
  const functions = new FunctionTable(source.segments("symbols"));
  const { sampleInterval, nsPerInstruction } = summary.config;
  const stacks = new StackReader(bundle.table("samples"), functions, sampleInterval, nsPerInstruction);
  const halts = new HaltReader(interrupts.time, interrupts.kind, interrupts.kinds);
  const reader = new ExitReader(exits.rows, functions, stacks, halts);
  for (let i = 0; i < exits.batchCount; i++) {
    reader.batch(exits.batch(i));
    yield 0.15 + 0.85 * (i + 1) / exits.batchCount;
  }
  const endNs = Math.max(reader.timeNs + 1, summary.time_ns ?? 0, console.time.at(-1) ?? 0);
  stacks.finish(endNs);
  const halted = halts.done(endNs);
  const placeFunction = reader.placeFunctions();
  const placePath = reader.placePaths(placeFunction);
  return {
    info: infoOf(summary),
    endNs,
    reasons: reader.reasons,
    functions: functions.names,
    callKinds: calls.kinds,
    interruptKinds: interrupts.kinds,
    devices: console.devices,
    lines: console.texts,
    columns: {
      ...reader.columns(),
      placeFunction,
      placePath,
      pathParent: stacks.parents(),
      pathLabel: stacks.tree.seconds(),
      stackExit: stacks.stackExit.done(),
      stackPath: stacks.stackPath.done(),
      sampleTime: stacks.sampleTime.done(),
      samplePath: stacks.samplePath.done(),
      callExit: calls.exit,
      callKind: calls.kind,
      callFailed: calls.failed,
      interruptTime: interrupts.time,
      interruptKind: interrupts.kind,
      haltStart: halted.start,
      haltEnd: halted.end,
      haltVcpu: halted.vcpu,
      lineTime: console.time,
      lineDevice: console.device,
    },
  };
}

/** Collects the columns of exits. */
class ExitReader {
  readonly reasons: string[] = [];
  /** Time of the last exit. */
  timeNs = 0;
  readonly #time: Float64Array;
  readonly #kind: Uint16Array;
  readonly #place: Uint32Array;
  readonly #kinds = new PairTable(KINDS_MAX);
  /** (high word, low word) of an address, then (address, reason). */
  readonly #addresses = new PairTable(PLACES_MAX);
  readonly #places = new PairTable(PLACES_MAX);
  readonly #reasonNumbers = new Map<number, number>();
  /** Per address: 1 + its last reason, and its place with that. */
  readonly #usual = new Uint32Array(PLACES_MAX * 2);
  /** Per vCPU and reason: 1 + kind. */
  readonly #kindNumbers = new Uint16Array(1 << 16);
  readonly #last = { code: -1, reason: 0 };
  #row = 0;

  constructor(
    exits: number,
    readonly functions: FunctionTable,
    readonly stacks: StackReader,
    readonly halts: HaltReader,
  ) {
    this.#time = new Float64Array(exits);
    this.#kind = new Uint16Array(exits);
    this.#place = new Uint32Array(exits);
  }

  batch(b: Batch): void {
    const icount = b.column("icount").u32, time = b.column("time_ns").u32, vcpu = b.column("vcpu").u16;
    const code = b.column("reason_code").u32, rip = b.column("rip").u32, info1 = b.column("info1").u32;
    for (let i = 0; i < b.rows; i++) {
      const reason = this.#reasonOf(b, i, code[i]);
      const timeNs = this.timeNs = Math.max(this.timeNs, wide(time, i));
      const low = rip[i * 2], high = rip[i * 2 + 1], n = this.#row++;
      if (code[i] === Reason.MSR && info1[i * 2] === 1) this.#hypercallPage(b, i);
      if (this.stacks.advance(wide(icount, i), timeNs)) this.stacks.exit(n, vcpu[i], low, high, reason);
      this.halts.exit(timeNs, vcpu[i], code[i] === Reason.HLT);
      this.#time[n] = timeNs;
      this.#kind[n] = this.#kindOf(vcpu[i], reason);
      this.#place[n] = this.#placeOf(low, high, reason);
    }
  }

  #reasonOf(b: Batch, row: number, code: number): number {
    if (code === this.#last.code) return this.#last.reason;
    this.#last.code = code;
    return this.#last.reason = this.#reasonNumbers.get(code) ?? this.#newReason(b, row, code);
  }

  #kindOf(vcpu: number, reason: number): number {
    const key = vcpu << 8 | reason;
    if (reason > 0xff || key > 0xffff) return last(this.#kinds.add(vcpu, reason), KINDS_MAX);
    if (this.#kindNumbers[key] === 0) {
      this.#kindNumbers[key] = 1 + last(this.#kinds.add(vcpu, reason), KINDS_MAX);
    }
    return this.#kindNumbers[key] - 1;
  }

  /** An address mostly has one reason: it is remembered with the address. */
  #placeOf(low: number, high: number, reason: number): number {
    const address = last(this.#addresses.add(high, low), PLACES_MAX);
    if (this.#usual[address * 2] === reason + 1) return this.#usual[address * 2 + 1];
    const place = last(this.#places.add(address, reason), PLACES_MAX);
    this.#usual[address * 2] = reason + 1;
    this.#usual[address * 2 + 1] = place;
    return place;
  }

  /** Names are those in the table, so that a recording with newer ones shows them. */
  #newReason(b: Batch, row: number, code: number): number {
    const name = b.text("reason", row) ?? reasonName(code);
    const number = this.reasons.includes(name) ? this.reasons.indexOf(name) : this.reasons.push(name) - 1;
    this.#reasonNumbers.set(code, number);
    return number;
  }

  #hypercallPage(b: Batch, row: number): void {
    if (!HYPERCALL_PAGE_MSRS.includes(wide(b.column("arg0").u32, row)) || isNull(b.column("arg1"), row)) {
      return;
    }
    const page = (b.bigint("arg1", row) ?? 0n) / 4096n * 4096n;
    this.functions.addPage(page, "[hypercall page]");
  }

  /** Function of each place; exits without an address have none. */
  placeFunctions(): Uint32Array {
    const high = this.#addresses.firsts(), low = this.#addresses.seconds();
    return this.#places.firsts().map((a) => this.functions.at(low[a], high[a]));
  }

  /** Node of each place without callers. There is room: the tree keeps some for them. */
  placePaths(functions: Uint32Array): Uint32Array {
    this.stacks.tree.max += 2 * functions.length + 1;
    const reasons = this.#places.seconds();
    return functions.map((f, p) => this.stacks.place(0, f, reasons[p]));
  }

  columns() {
    const address = this.#places.firsts(), high = this.#addresses.firsts(), low = this.#addresses.seconds();
    return {
      exitTime: this.#time,
      exitKind: this.#kind,
      exitPlace: this.#place,
      kindVcpu: Uint16Array.from(this.#kinds.firsts()),
      kindReason: Uint16Array.from(this.#kinds.seconds()),
      placeLow: address.map((a) => low[a]),
      placeHigh: address.map((a) => high[a]),
      placeReason: Uint16Array.from(this.#places.seconds()),
    };
  }
}

/** Number of the entry that stands for all others once a dictionary is full. */
function last(id: number, max: number): number {
  return id < 0 ? max - 1 : id;
}

/** What is known from the start. */
export function infoOf(summary: TraceSummary): TraceInfo {
  const { config } = summary;
  const vcpus = `${config.vcpus} vCPU${config.vcpus === 1 ? "" : "s"}`;
  return {
    guest: summary.guest,
    cmdline: config.cmdline,
    outcome: `${summary.outcome ?? "cut"}: ${summary.outcome_message}`,
    machine: `${config.type}, ${vcpus}, ${Math.round(config.memoryBytes / 2 ** 20)} MiB${
      config.xen ? ", Xen" : ""
    }`,
    icount: summary.icount,
    sampleInterval: config.sampleInterval,
    recovered: summary.recovered,
  };
}
