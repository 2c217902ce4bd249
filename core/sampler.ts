/**
 * Deterministic PC samples: where the running vCPU is, and who called. One every `sampleInterval` instructions, and,
 * while sampling is on, one at exits whose caller matters more than their address (hypercalls, MSRs, CPUID, control
 * registers, HLT: they sit in small wrappers). Which is which shows in icount: only the former are multiples of the
 * interval.
 *
 * @module
 */
import { type KernelImage, kernelImage, kernelSlide } from "./boot/kernel_image.ts";
import type { GuestImage } from "./config.ts";
import { Reason, type SampleEvent } from "./exits.ts";
import * as L from "./layout.ts";
import type { RetrovisorMachine } from "./machine.ts";
import { Unwinder } from "./unwind.ts";

/** Exits that are told by their address alone: port and memory accesses are inlined where they belong. */
const UNSAMPLED: ReadonlySet<number> = new Set([
  Reason.IOIO,
  Reason.NPF,
  Reason.INTR,
  Reason.NMI,
  Reason.VINTR,
  Reason.SHUTDOWN,
  Reason.UNIMPLEMENTED,
  Reason.INSTRUCTION_LIMIT,
  Reason.HOST_STOP,
]);

/** Takes the samples of one machine. */
export class Sampler {
  readonly #unwinder: Unwinder;
  readonly #kernel: KernelImage | null;
  /** How far the kernel has moved itself; null: not known yet. Part of the machine's state. */
  #slide: number | null = null;

  constructor(readonly machine: RetrovisorMachine, images: readonly GuestImage[]) {
    this.#unwinder = new Unwinder(machine.cpu);
    const kernel = images.find((i) => i.role === "kernel");
    const image = kernel === undefined ? null : kernelImage(kernel.name, kernel.bytes);
    this.#kernel = image?.orc ? image : null;
  }

  /** To be called at every multiple of the interval, whether or not somebody looks: finds the kernel once it runs. */
  tick(): void {
    const { machine: m } = this;
    if (this.#slide === null && this.#kernel !== null && this.#inKernel(m.cpu.s.rip)) {
      this.#slide = kernelSlide(this.#kernel, m.mem);
    }
    const { observer } = m.door;
    if (observer?.onSample) observer.onSample(this.#take(m.cpu.s.rip));
  }

  /** To be called at every exit that somebody looks at, before it is handed over. */
  exit(reason: number): void {
    const { machine: m } = this, { observer } = m.door;
    if (UNSAMPLED.has(reason) || !observer?.onSample || m.clock.icount % m.config.sampleInterval === 0) {
      return;
    }
    observer.onSample(this.#take(m.cpu.currentRip));
  }

  /** What must be kept in a checkpoint. */
  save(): { slide: number | null } {
    return { slide: this.#slide };
  }

  /** @see save */
  load(state: { slide: number | null }): void {
    this.#slide = state.slide;
  }

  /** 64-bit kernel code at its high address. */
  #inKernel(rip: number): boolean {
    const { s } = this.machine.cpu;
    return s.cpl === 0 && s.code64 && rip < 0;
  }

  #take(rip: number): SampleEvent {
    const { machine: m } = this, { s } = m.cpu, orc = this.#kernel?.orc ?? null;
    const byOrc = orc !== null && this.#slide !== null && this.#inKernel(rip);
    return {
      icount: m.clock.icount,
      vcpu: m.vcpus.active,
      ripLo: rip >>> 0,
      ripHi: Math.floor(rip / 0x1_0000_0000) >>> 0,
      cr3: s.num(L.CR3),
      cpl: s.cpl,
      stack: byOrc ? this.#unwinder.orc(orc, this.#slide ?? 0, rip) : this.#unwinder.framePointers(rip),
    };
  }
}
