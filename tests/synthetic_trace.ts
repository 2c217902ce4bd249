/**
 * Recordings of any size that no machine ran: real schema, real writers, the mix of exits of a Linux guest under load.
 * Equal options give equal bytes.
 *
 *     deno run --allow-read --allow-write tests/synthetic_trace.ts FOLDER [--exits 10000000] [--vcpus 4] [--seed 1]
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { DEFAULT_CONFIG, type MachineConfig } from "../core/config.ts";
import { Col, ExitEvent, type HypercallEvent, Reason } from "../core/exits.ts";
import { EventWriter, HypercallWriter } from "../replay/event_writer.ts";
import { ExitWriter } from "../replay/exit_writer.ts";
import { BundleWriter } from "../traces/bundle_writer.ts";
import { DirectoryStore, type Store } from "../traces/store.ts";
import { seeded } from "./trace_fixture.ts";

/** What may be chosen. */
export interface SyntheticOptions {
  /** Rows of table `exits`; default 10,000. */
  exits?: number;
  vcpus?: number;
  seed?: number;
  /** Functions that there are symbols of; default 2,000. */
  functions?: number;
  /** Over the defaults, e.g. name and command line. */
  config?: Partial<MachineConfig>;
  /** Every guest-controlled string is this one, numbered: symbols, console text, inputs. Left out: harmless names. */
  text?: (kind: "symbol" | "console" | "input", n: number) => string;
}

const FIRST_FUNCTION = 0xffff_ffff_8100_0000n, FUNCTION_BYTES = 256n;
const SAMPLE_INTERVAL = 100_000, SAMPLED_EVERY = 7;
/** Icounts between commits: what a recorder does about once a second. */
const COMMIT_EXITS = 200_000;

const PAGE_FAULT = Reason.EXCEPTION_0 + 14;

/** Reasons out of 256, as a busy Linux guest on Xen exits: mostly timers, end of interrupts and idling. */
const MIX: readonly (readonly [reason: number, weight: number])[] = [
  [Reason.VMMCALL, 70],
  [Reason.MSR, 60],
  [Reason.HLT, 30],
  [Reason.IOIO, 40],
  [Reason.INTR, 20],
  [Reason.CPUID, 12],
  [Reason.NPF, 10],
  [Reason.CR0_WRITE + 4, 6],
  [Reason.CR0_WRITE + 3, 4],
  [Reason.VINTR, 3],
  [PAGE_FAULT, 1],
];
const CALLS: readonly (readonly [nr: number, name: string, subop: number, subopName: string | null])[] = [
  [24, "vcpu_op", 7, "set_singleshot_timer"],
  [32, "event_channel_op", 4, "send"],
  [29, "sched_op", 1, "block"],
  [20, "grant_table_op", 6, "query_size"],
  [17, "xen_version", 0, "version"],
  [18, "console_io", 0, "write"],
  [1000, "unknown", -1, null],
];
const PORTS = [0x42, 0x3f8, 0xcf8, 0xcfc, 0x60, 0x70, 0x71, 0x80];
const MSRS = [0x80b, 0x838, 0x830, 0x6e0, 0xc000_0080, 0x1b, 0x277, 0xc000_0102];
const LEAVES = [0, 1, 4, 7, 0xd, 0x4000_0000, 0x4000_0001, 0x8000_0000];

/** Writes a recording. @returns its number of exits */
export function synthesize(store: Store, options: SyntheticOptions = {}): number {
  const config: MachineConfig = {
    ...DEFAULT_CONFIG,
    name: "synthetic",
    cmdline: "console=hvc0",
    vcpus: options.vcpus ?? 2,
    sampleInterval: SAMPLE_INTERVAL,
    ...options.config,
  };
  const bundle = new BundleWriter(store, config, [
    { role: "kernel", name: "synthetic", bytes: new Uint8Array(16) },
  ]);
  const guest = new SyntheticGuest(bundle, config.vcpus, options);
  const exits = options.exits ?? 10_000;
  for (let n = 0; n < exits; n++) {
    guest.step();
    if (n % COMMIT_EXITS === COMMIT_EXITS - 1) bundle.commit(guest.icount);
  }
  guest.symbols();
  bundle.close({
    outcome: { kind: "poweroff", message: "The guest powered off." },
    icount: guest.icount + 1,
    timeNs: guest.timeNs + 1,
    exits,
    hypercalls: guest.hypercalls,
    inputs: guest.inputs,
    stateHash: "00".repeat(32),
  });
  return exits;
}

class SyntheticGuest {
  icount = 0;
  timeNs = 0;
  hypercalls = 0;
  inputs = 0;
  #seq = 0;
  #lines = 0;
  readonly #exits: ExitWriter;
  readonly #calls: HypercallWriter;
  readonly #events: EventWriter;
  readonly #random: (n: number) => number;
  readonly #event = new ExitEvent();
  readonly #reasons: number[];
  readonly #functions: number;
  readonly #text: NonNullable<SyntheticOptions["text"]>;

  constructor(bundle: BundleWriter, readonly vcpus: number, options: SyntheticOptions) {
    this.#exits = new ExitWriter(bundle.table("exits"));
    this.#calls = new HypercallWriter(bundle.table("hypercalls"));
    this.#events = new EventWriter(bundle);
    this.#random = seeded(options.seed ?? 1);
    this.#functions = options.functions ?? 2000;
    this.#reasons = MIX.flatMap(([reason, weight]) => new Array<number>(weight).fill(reason));
    this.#text = options.text ?? ((kind, n) => kind === "symbol" ? `function_${n}` : `${kind} ${n}\n`);
    const line = new TextEncoder().encode(this.#text("input", 0));
    this.#events.input({ icount: 0, timeNs: 0, vcpu: 0, kind: "console", target: "xen", payload: line });
    this.inputs++;
  }

  /** One exit and what belongs to it. */
  step(): void {
    const r = this.#random, e = this.#event;
    const distance = r(8) === 0 ? r(100_000) : r(3000);
    const before = Math.floor(this.icount / SAMPLE_INTERVAL);
    this.icount += distance;
    this.timeNs += distance;
    const vcpu = r(this.vcpus), reason = this.#reasons[r(this.#reasons.length)];
    const f = functionOf(r, this.#functions), rip = Number(FUNCTION_BYTES) * f + (reason & 0x3f);
    for (let k = before + 1; k <= Math.floor(this.icount / SAMPLE_INTERVAL); k++) {
      this.#sample(k * SAMPLE_INTERVAL, vcpu, functionOf(r, this.#functions) * Number(FUNCTION_BYTES) + 9);
    }
    e.reset();
    e.seq = this.#seq++;
    e.icount = this.icount;
    e.timeNs = this.timeNs;
    e.vcpu = vcpu;
    e.reason = reason;
    e.cs = 0x10;
    e.cpl = reason === PAGE_FAULT ? 3 : 0;
    e.mode = 4;
    e.set(Col.rip, (Number(FIRST_FUNCTION & 0xffff_ffffn) + rip) >>> 0, 0xffff_ffff);
    e.setNumber(Col.cr3, 0x1000 * (1 + f % 50));
    this.#arguments(e);
    this.#exits.write(e);
    if (reason === Reason.VMMCALL) this.#hypercall(e);
    if (reason === Reason.INTR || reason === Reason.HLT) this.#interrupt(e);
    if (e.seq % SAMPLED_EVERY === 0) this.#sample(this.icount, vcpu, rip);
    if (e.seq % 5000 === 0) {
      this.#events.console(this.icount, this.timeNs, "xen", bytesOf(this.#text("console", this.#lines++)));
    }
  }

  #arguments(e: ExitEvent): void {
    const r = this.#random;
    switch (e.reason) {
      case Reason.IOIO: {
        const input = r(4) > 0, port = PORTS[Math.min(r(8), r(8))];
        e.setNumber(Col.info1, port * 65536 + 0x10 + (input ? 1 : 0));
        e.setNumber(input ? Col.result : Col.arg0, r(256));
        break;
      }
      case Reason.MSR: {
        const write = r(3) > 0;
        e.setNumber(Col.info1, write ? 1 : 0);
        e.setNumber(Col.arg0, MSRS[Math.min(r(8), r(8))]);
        e.setNumber(write ? Col.arg1 : Col.result, r(1 << 30));
        break;
      }
      case Reason.CPUID:
        e.setNumber(Col.arg0, LEAVES[r(8)]);
        e.setNumber(Col.arg1, r(3));
        e.setNumber(Col.result, r(1 << 30));
        e.setNumber(Col.arg2, r(1 << 30));
        break;
      case Reason.NPF: {
        const gpa = 0xfee0_0000 + 0x1000 * r(16) + 4 * r(256);
        e.setNumber(Col.info1, r(2) * 2);
        e.setNumber(Col.info2, gpa);
        e.setNumber(Col.gpa, gpa);
        e.setNumber(Col.arg0, r(1 << 30));
        e.setNumber(Col.arg1, 4);
        e.setNumber(Col.result, r(1 << 30));
        break;
      }
      case PAGE_FAULT:
        e.setNumber(Col.info1, r(8));
        e.setNumber(Col.gla, 0x7f00_0000 + 4096 * r(1000));
        e.injectedVector = 14;
        e.errorCode = r(8);
        break;
      case Reason.HLT:
        this.timeNs += r(1_000_000);
        break;
      case Reason.VMMCALL:
        e.setNumber(Col.arg0, CALLS[Math.min(r(7), r(7))][0]);
        e.setNumber(Col.result, 0);
        break;
    }
  }

  #hypercall(e: ExitEvent): void {
    const nr = e.words[Col.arg0 * 2], call = CALLS.find((c) => c[0] === nr)!;
    const failed = this.#random(50) === 0;
    const h: HypercallEvent = {
      seq: e.seq,
      parentSeq: -1,
      icount: e.icount,
      vcpu: e.vcpu,
      nr,
      name: call[1],
      subop: call[2],
      subopName: call[3],
      args: [BigInt(Math.max(0, call[2])), BigInt(this.#random(1 << 20))],
      result: failed ? -22n : 0n,
      errnoName: failed ? "EINVAL" : null,
      buffer: null,
    };
    this.#calls.write(h);
    this.hypercalls++;
  }

  #interrupt(e: ExitEvent): void {
    const evtchn = this.#random(4) > 0;
    this.#events.interrupt({
      icount: e.icount,
      timeNs: e.timeNs,
      vcpu: e.vcpu,
      vector: evtchn ? 0xf3 : 0xec,
      source: evtchn ? "evtchn" : "lapic-timer",
      port: evtchn ? 1 + this.#random(5) : -1,
      raisedIcount: Math.max(0, e.icount - this.#random(3000)),
      ripLo: e.words[Col.rip * 2],
      ripHi: e.words[Col.rip * 2 + 1],
    });
  }

  #sample(icount: number, vcpu: number, offset: number): void {
    // Few ways lead to a function, as in a kernel: stacks repeat.
    const f = Math.floor(offset / Number(FUNCTION_BYTES)), way = this.#random(3);
    const stack = Array.from(
      { length: (f + way) % 12 },
      (_, i) => FIRST_FUNCTION + FUNCTION_BYTES * BigInt((f * 31 + i * 131 + way) % this.#functions) + 5n,
    );
    const ripLo = (Number(FIRST_FUNCTION & 0xffff_ffffn) + offset) >>> 0;
    this.#events.sample({ icount, vcpu, ripLo, ripHi: 0xffff_ffff, cr3: 0x1000, cpl: 0, stack });
  }

  /** The symbols, which a recording has at its end. */
  symbols(): void {
    for (let i = 0; i < this.#functions; i++) {
      this.#events.symbol({
        start: FIRST_FUNCTION + FUNCTION_BYTES * BigInt(i),
        size: Number(FUNCTION_BYTES),
        name: this.#text("symbol", i),
        module: "kernel",
        source: "kallsyms",
      });
    }
  }
}

/** Few functions exit often, many seldom. */
function functionOf(r: (n: number) => number, functions: number): number {
  return Math.min(r(functions), r(functions), r(functions));
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

if (import.meta.main) {
  const options = parseArgs(Deno.args, { string: ["exits", "vcpus", "seed", "_"] });
  const folder = options._[0];
  if (folder === undefined) {
    console.error("Usage: synthetic_trace.ts FOLDER [--exits N] [--vcpus N] [--seed N]");
    Deno.exit(2);
  }
  const count = (text: string | undefined, otherwise: number) =>
    text === undefined ? otherwise : Number(text);
  Deno.mkdirSync(String(folder), { recursive: true });
  const exits = synthesize(new DirectoryStore(String(folder)), {
    exits: count(options.exits, 10_000_000),
    vcpus: count(options.vcpus, 4),
    seed: count(options.seed, 1),
  });
  console.log(`${folder}: ${exits} exits`);
}
