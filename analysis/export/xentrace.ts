/**
 * A recording as `xentrace` would have recorded it on an AMD host with `-e 0x002af000`: read it with
 * `xenalyze --svm-mode --cpu-hz=HZ -s FILE`. Each vCPU has a physical CPU of its own. The TSC is the guest's at offset 1; a
 * handled exit takes no time, because on the virtual clock it takes none; a halted vCPU is blocked.
 *
 * @module
 */
import type { ExportInput } from "./exporter.ts";
import {
  CpuBuffer,
  Handler,
  Runstate,
  TRC_64_FLAG,
  TRC_HVM_VMENTRY,
  TRC_HVM_VMEXIT,
  words,
} from "./xentrace_records.ts";

/** Largest reason that SVM has (NPF); ours above it have no place in the format. */
const REASON_MAX = 0x400;
/** xenalyze's limit on processors. */
const CPUS_MAX = 128;
/** Records that wait before all processors' are written, bytes. */
const WINDOW_BYTES = 1 << 20;
const HLT = 0x78;

/** Columns of the query below, in order. */
type EventRow = [
  time: bigint,
  kind: number,
  domid: number,
  vcpu: number,
  code: number,
  mode: string,
  rip: bigint,
  info1: bigint,
  gpa: bigint,
  gla: bigint,
  arg0: bigint,
  arg1: bigint,
  arg2: bigint,
  result: bigint,
  injected: number | null,
  error: number | null,
];

const EVENTS = `
SELECT time_ns, 0 AS kind, domid, vcpu, reason_code, mode::VARCHAR AS mode, coalesce(rip, 0)::UBIGINT AS rip,
  coalesce(info1, 0)::UBIGINT AS info1, coalesce(gpa, info2, 0)::UBIGINT AS gpa, coalesce(gla, 0)::UBIGINT AS gla,
  coalesce(arg0, 0)::UBIGINT AS arg0, coalesce(arg1, 0)::UBIGINT AS arg1, coalesce(arg2, 0)::UBIGINT AS arg2,
  coalesce(result, 0)::UBIGINT AS result, injected_vector, error_code, icount, seq
FROM exits
UNION ALL
SELECT time_ns, 1, 0, vcpu, vector, 'long', rip, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, icount, 0 FROM interrupts
ORDER BY icount, time_ns, kind, seq`;

/** One vCPU and what has been said about it. */
interface Vcpu {
  buffer: CpuBuffer;
  domid: number;
  state: number;
}

/** The recording as one xentrace file. */
export function* xentrace({ session, summary, warn }: ExportInput): Generator<Uint8Array> {
  const file = new XentraceFile(summary.config.tscKhz);
  let unknown = 0, beyond = 0;
  for (const values of session.query(EVENTS).rows) {
    const row = values as unknown as EventRow;
    if (row[3] >= CPUS_MAX) beyond++;
    else if (row[1] === 1) file.interrupt(row);
    else if (row[4] <= REASON_MAX) file.exit(row);
    else unknown++;
    if (file.waiting >= WINDOW_BYTES) yield* file.take();
  }
  file.finish();
  yield* file.take();
  if (unknown > 0) warn(`Exits left out because SVM has no such reason: ${unknown}`);
  if (beyond > 0) warn(`Events left out because xenalyze takes no more than ${CPUS_MAX} vCPUs: ${beyond}`);
}

class XentraceFile {
  readonly #vcpus = new Map<number, Vcpu>();
  #last = 1n;
  /** Bytes that wait, about. */
  waiting = 0;

  constructor(readonly tscKhz: number) {}

  exit(row: EventRow): void {
    const [time, , domid, vcpu, code, mode, rip, , , , , , , , injected, error] = row;
    const tsc = this.#tsc(time);
    const v = this.#vcpu(vcpu, domid, tsc);
    if (v.state === Runstate.BLOCKED) {
      this.#wake(v, vcpu, tsc);
      v.buffer.record(TRC_HVM_VMENTRY, tsc, []);
    }
    // Xen records the whole RIP in 64-bit and compatibility mode.
    const wide = mode === "long" || mode === "compat";
    v.buffer.record(
      TRC_HVM_VMEXIT | (wide ? TRC_64_FLAG : 0),
      tsc,
      wide ? [code, ...words(rip)] : [code, words(rip)[0]],
    );
    for (const [event, data] of handlers(row)) v.buffer.record(event, null, data);
    if (injected !== null) v.buffer.record(Handler.INJ_EXC, null, [injected, error ?? 0]);
    if (code === HLT) this.#change(v, vcpu, Runstate.BLOCKED, tsc);
    else v.buffer.record(TRC_HVM_VMENTRY, tsc, []);
    this.waiting += 80;
  }

  interrupt([time, , , vcpu, vector]: EventRow): void {
    const tsc = this.#tsc(time);
    const v = this.#vcpu(vcpu, null, tsc);
    const blocked = v.state === Runstate.BLOCKED;
    if (blocked) this.#wake(v, vcpu, tsc);
    v.buffer.record(Handler.INJ_VIRQ, null, [vector, 0]);
    if (blocked) v.buffer.record(TRC_HVM_VMENTRY, tsc, []);
    this.waiting += 40;
  }

  /** An exit is counted when it ends: vCPUs that never woke are made runnable at the last moment. */
  finish(): void {
    for (const [n, v] of this.#vcpus) if (v.state === Runstate.BLOCKED) this.#wake(v, n, this.#last);
  }

  /** What waits, processor by processor. */
  *take(): Generator<Uint8Array> {
    for (const [, v] of [...this.#vcpus].sort(([a], [b]) => a - b)) {
      if (v.buffer.length > 0) yield v.buffer.take();
    }
    this.waiting = 0;
  }

  #tsc(timeNs: bigint): bigint {
    const tsc = BigInt(timeNs) * BigInt(this.tscKhz) / 1_000_000n + 1n;
    if (tsc > this.#last) this.#last = tsc;
    return tsc;
  }

  #vcpu(n: number, domid: number | null, tsc: bigint): Vcpu {
    const known = this.#vcpus.get(n);
    if (known !== undefined) return known;
    const v = { buffer: new CpuBuffer(n), domid: domid ?? 1, state: Runstate.RUNNABLE };
    this.#vcpus.set(n, v);
    this.#change(v, n, Runstate.RUNNING, tsc);
    return v;
  }

  #wake(v: Vcpu, n: number, tsc: bigint): void {
    this.#change(v, n, Runstate.RUNNABLE, tsc);
    this.#change(v, n, Runstate.RUNNING, tsc);
  }

  #change(v: Vcpu, n: number, to: number, tsc: bigint): void {
    v.buffer.runstate(v.domid, n, v.state, to, tsc);
    v.state = to;
  }
}

/** What Xen records while it handles an exit. */
function handlers(row: EventRow): [event: number, data: number[]][] {
  const [, , , , code, , , info1, gpa, gla, arg0, arg1, arg2, result] = row;
  const low = (v: bigint) => words(v)[0];
  if (code < 0x10) return [[Handler.CR_READ64, [code, ...words(result)]]];
  if (code < 0x20) return [[Handler.CR_WRITE64, [code - 0x10, ...words(arg0)]]];
  if (code < 0x30) return [[Handler.DR_READ, []]];
  if (code < 0x40) return [[Handler.DR_WRITE, []]];
  if (code < 0x60) return [[Handler.TRAP, [code - 0x40]]];
  switch (code) {
    case 0x60:
      return [[Handler.INTR, [0]]];
    case 0x6e:
      return [[Handler.RDTSC, words(result)]];
    case 0x72:
      return [[Handler.CPUID, [low(arg0), low(arg1), ...words(result), ...words(arg2)]]];
    case HLT:
      return [[Handler.HLT, [0]]];
    case 0x79:
      return [[Handler.INVLPG64, [0, ...words(gla)]]];
    case 0x7b: {
      const read = (info1 & 1n) === 1n;
      const port = Number(info1 >> 16n & 0xffffn);
      return [[read ? Handler.IOPORT_READ : Handler.IOPORT_WRITE, [port, low(read ? result : arg0)]]];
    }
    case 0x7c:
      return (info1 & 1n) === 1n
        ? [[Handler.MSR_WRITE, [low(arg0), ...words(arg1)]]]
        : [[Handler.MSR_READ, [low(arg0), ...words(result)]]];
    case 0x81:
      return [[Handler.VMMCALL, [low(arg0)]]];
    case 0x400: {
      const write = (info1 & 2n) !== 0n;
      return [
        // No machine frame backs it: INVALID_MFN, type p2m_mmio_dm.
        [Handler.NPF, [...words(gpa), 0xffff_ffff, 0xffff_ffff, low(info1), 4]],
        [write ? Handler.IOMEM_WRITE64 : Handler.IOMEM_READ64, [...words(gpa), low(write ? arg0 : result)]],
      ];
    }
    default:
      return [];
  }
}
