/**
 * Records of Xen's trace buffers, as `xentrace` writes them to files (xen/include/public/trace.h): a header word, a TSC when
 * there is one, up to seven words. Each run of records of one processor is preceded by a record that says how long it is.
 *
 * @module
 */

const TRC_TRACE_CPU_CHANGE = 0x0001f003;
const TRC_SCHED_RUNSTATE_CHANGE = 0x00021001;
/** VMENTRY, without data. */
export const TRC_HVM_VMENTRY = 0x00081001;
/** Exit: reason, RIP. Up to Xen 4.19 that of SVM, too; newer readers take it as such with `--svm-mode`. */
export const TRC_HVM_VMEXIT = 0x00081002;
const TRC_HVM_HANDLER = 0x00082000;
/** Addresses take two words. */
export const TRC_64_FLAG = 0x100;

/** Handlers of `TRC_HVM_HANDLER`; data in comments. */
export const Handler = {
  /** vector, error code */
  INJ_EXC: TRC_HVM_HANDLER + 0x03,
  /** vector, fake */
  INJ_VIRQ: TRC_HVM_HANDLER + 0x04,
  /** register, value (2) */
  CR_READ64: TRC_HVM_HANDLER + TRC_64_FLAG + 0x08,
  /** register, value (2) */
  CR_WRITE64: TRC_HVM_HANDLER + TRC_64_FLAG + 0x09,
  DR_READ: TRC_HVM_HANDLER + 0x0a,
  DR_WRITE: TRC_HVM_HANDLER + 0x0b,
  /** MSR, value (2) */
  MSR_READ: TRC_HVM_HANDLER + 0x0c,
  /** MSR, value (2) */
  MSR_WRITE: TRC_HVM_HANDLER + 0x0d,
  /** leaf, subleaf, EAX, EBX, ECX, EDX */
  CPUID: TRC_HVM_HANDLER + 0x0e,
  /** vector */
  INTR: TRC_HVM_HANDLER + 0x0f,
  /** number */
  VMMCALL: TRC_HVM_HANDLER + 0x12,
  /** whether something is pending */
  HLT: TRC_HVM_HANDLER + 0x13,
  /** whether it is INVLPGA, address (2) */
  INVLPG64: TRC_HVM_HANDLER + TRC_64_FLAG + 0x14,
  /** port, value */
  IOPORT_READ: TRC_HVM_HANDLER + 0x16,
  /** port, value */
  IOPORT_WRITE: TRC_HVM_HANDLER + 0x216,
  /** address (2), value */
  IOMEM_READ64: TRC_HVM_HANDLER + TRC_64_FLAG + 0x17,
  /** address (2), value */
  IOMEM_WRITE64: TRC_HVM_HANDLER + TRC_64_FLAG + 0x217,
  /** value (2) */
  RDTSC: TRC_HVM_HANDLER + 0x1a,
  /** address (2), frame (2), qualification, type */
  NPF: TRC_HVM_HANDLER + 0x21,
  /** vector */
  TRAP: TRC_HVM_HANDLER + 0x23,
} as const;

/** States of a vCPU (public/vcpu.h, RUNSTATE_*). */
export const Runstate = { RUNNING: 0, RUNNABLE: 1, BLOCKED: 2, OFFLINE: 3 } as const;

/** The low and the high word of a 64-bit value. */
export function words(value: bigint): [number, number] {
  return [Number(value & 0xffff_ffffn), Number(value >> 32n & 0xffff_ffffn)];
}

/** The records of one processor that have not been written yet. */
export class CpuBuffer {
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  constructor(readonly cpu: number) {}

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  /** Appends a record. @param tsc null: the record has none */
  record(event: number, tsc: bigint | null, data: readonly number[]): void {
    if (this.#length + 40 > this.#bytes.length) this.#grow();
    const v = this.#view;
    v.setUint32(this.#length, (event | data.length << 28 | (tsc === null ? 0 : 1 << 31)) >>> 0, true);
    this.#length += 4;
    if (tsc !== null) {
      v.setBigUint64(this.#length, tsc, true);
      this.#length += 8;
    }
    for (const word of data) {
      v.setUint32(this.#length, word >>> 0, true);
      this.#length += 4;
    }
  }

  /** Appends a change of a vCPU's state. */
  runstate(domid: number, vcpu: number, from: number, to: number, tsc: bigint): void {
    this.record(TRC_SCHED_RUNSTATE_CHANGE | to << 4 | from << 8, tsc, [vcpu | domid << 16]);
  }

  /** What waits, after the record that announces it. The buffer is empty afterwards. */
  take(): Uint8Array {
    const out = new Uint8Array(12 + this.#length);
    const v = new DataView(out.buffer);
    v.setUint32(0, (TRC_TRACE_CPU_CHANGE | 2 << 28) >>> 0, true);
    v.setUint32(4, this.cpu, true);
    v.setUint32(8, this.#length, true);
    out.set(this.#bytes.subarray(0, this.#length), 12);
    this.#length = 0;
    return out;
  }

  #grow(): void {
    const grown = new Uint8Array(this.#bytes.length * 2);
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}
