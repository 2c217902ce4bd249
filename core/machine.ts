/**
 * The machine: processors, memory, clock, devices and Xen put together, and the loop that runs them.
 *
 * Time passes only here: instructions retire, or, while every vCPU waits, the clock jumps to the next timer or input.
 *
 * @module
 */
import type { Machine } from "./api.ts";
import type { Json, Snapshottable } from "./bus.ts";
import { buildAcpiTables } from "./boot/acpi.ts";
import { loadGuest, memoryCapacity } from "./boot/load.ts";
import type { BootState } from "./boot/types.ts";
import { Clock } from "./clock.ts";
import { type GuestImage, type MachineConfig } from "./config.ts";
import type { DebugStop } from "./cpu/debug_stops.ts";
import { Cpu, Stopped } from "./cpu/cpu.ts";
import { type CpuidPolicy, parseCpuidSpec } from "./cpu/cpuid.ts";
import type { CpuidResult } from "./cpu/hooks.ts";
import { MachineHooks } from "./cpu_hooks.ts";
import { applyDebuggerInput } from "./debugger_input.ts";
import { ExitDoor } from "./exit_door.ts";
import { type Observer, Reason } from "./exits.ts";
import { flip, FLIP_TARGET } from "./faults.ts";
import type { Input, InputKind, Inputs } from "./inputs.ts";
import { Intercepts } from "./intercepts.ts";
import { IoSpace } from "./io.ts";
import * as L from "./layout.ts";
import { MachineHost } from "./machine_host.ts";
import { PhysMem } from "./mmu/physmem.ts";
import type { Outcome } from "./outcome.ts";
import { createLapicPlatform, createPcPlatform, type Platform } from "./devices/pc.ts";
import { Sampler } from "./sampler.ts";
import { Scheduler } from "./scheduler.ts";
import { enterGuest, resetVcpu } from "./start.ts";
import { VcpuSet } from "./vcpus.ts";
import type { XenVcpu } from "./xen/host.ts";
import { Xen } from "./xen/xen.ts";

/** Version of the state that `saveState` writes. */
const STATE_VERSION = 1;
/**
 * Translations are dropped at every multiple of this many instructions, so that a run resumed from a checkpoint taken
 * there (with an empty TLB) cannot differ even for a guest that relies on stale entries. Checkpoints belong here.
 */
export const EPOCH = 1 << 24;
/** Most instructions between two looks at live inputs. */
const POLL_INTERVAL = 1 << 22;
/** Most timer jumps in a row without an instruction retiring: beyond, the guest is taken to be idle for good. */
const IDLE_JUMPS_MAX = 100_000;

/** Choices about the host side of execution. */
export interface EngineOptions {
  /** How often a block runs before it is compiled; 0: everything is interpreted. */
  jitThreshold?: number;
}
/**
 * Used when a caller does not choose. Below 6000 a boot of Linux compiles as much code that is soon cold as code that
 * earns it; compute kernels reach either count within a millisecond.
 */
export const DEFAULT_JIT_THRESHOLD = 6000;

/** See `core/api.ts`. */
export class RetrovisorMachine implements Machine {
  readonly mem: PhysMem;
  readonly clock: Clock;
  readonly policy: CpuidPolicy;
  readonly cpu: Cpu;
  readonly door: ExitDoor;
  readonly io = new IoSpace();
  readonly vcpus: VcpuSet;
  readonly platform: Platform;
  readonly xen: Xen | null;
  readonly scheduler: Scheduler;
  /** Takes PC samples; null when the configuration asks for none. */
  readonly sampler: Sampler | null;
  /** What the loader found and built. */
  readonly boot: BootState;
  outcome: Outcome | null = null;
  hypercallCount = 0;
  /** Virtual time up to which the clock may jump while idle; interactive runs hold it to real time. */
  idleLimitNs = Infinity;
  readonly snapshots: Snapshottable[] = [];
  readonly #host: MachineHost;
  #inputSeq = 0;
  /** Inputs and console text from before anybody could be attached. */
  #early: ((o: Observer) => void)[] | null = [];
  #nextSample: number;
  #idleJumps = 0;

  /** @param engine how the processor executes; never visible to the guest or in a recording */
  constructor(
    readonly config: MachineConfig,
    images: GuestImage[],
    readonly inputs: Inputs,
    engine: EngineOptions = {},
  ) {
    const acpi = config.acpi
      ? buildAcpiTables({ vcpus: config.vcpus, platform: config.platform, apicIdShift: config.xen ? 1 : 0 })
      : null;
    this.mem = new PhysMem(memoryCapacity(config, acpi));
    this.clock = new Clock(config.nsPerInstruction);
    this.policy = parseCpuidSpec(config.cpuid, { hypervisor: config.xen });
    const hooks = new MachineHooks(this);
    this.cpu = new Cpu(
      this.mem,
      hooks,
      this.policy,
      this.clock,
      engine.jitThreshold ?? DEFAULT_JIT_THRESHOLD,
    );
    this.door = new ExitDoor(this.cpu, this.clock, new Intercepts(config.intercepts));
    this.vcpus = new VcpuSet(this.cpu, config.vcpus);
    this.scheduler = new Scheduler(config.quantum, config.seed);
    this.boot = loadGuest(config, images, this.mem, acpi);
    const host = this.#host = new MachineHost(this);
    this.platform = this.#createPlatform(host);
    this.xen = config.xen ? new Xen(host) : null;
    this.clock.onRearm = () => this.#rearm();
    this.#nextSample = config.sampleInterval > 0 ? config.sampleInterval : Infinity;
    const sampler = this.sampler = config.sampleInterval > 0 ? new Sampler(this, images) : null;
    if (sampler !== null) this.door.beforeExit = (reason) => sampler.exit(reason);
    for (let v = config.vcpus - 1; v >= 0; v--) resetVcpu(this, v);
    enterGuest(this, this.boot.entry);
    this.xen?.started(0);
  }

  #createPlatform(host: MachineHost): Platform {
    const { config, policy } = this;
    const options = {
      vcpus: config.vcpus,
      currentVcpu: () => this.vcpus.active,
      signals: {
        init: (v: number) => resetVcpu(this, v),
        startup: (v: number, vector: number) => this.startVcpu(v, vector),
        nmi: (v: number) => host.nmi(v),
      },
      apicId: (v: number) => config.xen ? v * 2 : v,
      x2apic: policy.has("x2apic"),
      tsc: policy.has("tsc_deadline_timer")
        ? { nsAtTsc: (_v: number, tsc: number) => tsc / (config.tscKhz / 1e6) }
        : null,
    };
    if (config.platform === "none") return createLapicPlatform(host, options);
    return createPcPlatform(host, { ...options, memoryBytes: config.memoryBytes });
  }

  get icount(): number {
    return this.clock.icount;
  }
  get timeNs(): number {
    return this.clock.now();
  }
  get exitCount(): number {
    return this.door.count;
  }
  get observer(): Observer | null {
    return this.door.observer;
  }
  set observer(o: Observer | null) {
    this.door.observer = o;
    if (o !== null && this.#early !== null) {
      for (const tell of this.#early) tell(o);
      this.#early = null;
    }
  }

  /** @see Machine.runUntil */
  runUntil(icountLimit: number): "limit" | "ended" | "waiting" {
    const { clock, vcpus, cpu, scheduler } = this;
    for (;;) {
      if (this.outcome !== null) return "ended";
      this.#fire();
      this.#takeInputs();
      if (this.outcome !== null) return "ended";
      if (clock.icount >= icountLimit) return "limit";
      const next = scheduler.pick(vcpus);
      if (next < 0) {
        const waited = this.#idle();
        if (waited !== null) return waited;
        continue;
      }
      this.#activate(next);
      const before = clock.icount;
      this.#stopped(cpu.run(this.#plan(icountLimit)));
      const ran = clock.icount - before;
      if (ran > 0) this.#idleJumps = 0;
      // A single vCPU has no turns: its slices end where the caller says, which must not show in the state.
      if (vcpus.all.length > 1) scheduler.ran(ran);
      const stop = cpu.debug === null ? null : this.#debugStop();
      if (stop === null || ran > 0) this.#boundaries();
      if (stop !== null) return "limit";
    }
  }

  /** Why a debugger stops the run here, if it does. */
  #debugStop(): DebugStop | null {
    const { debug } = this.cpu;
    debug?.settle();
    return debug?.stop ?? null;
  }

  /** Makes a vCPU the running one. */
  #activate(id: number): void {
    const { vcpus, xen } = this;
    if (id === vcpus.active) {
      // It may have waited meanwhile: its run state is again "running".
      xen?.runstate(id, 0);
      return;
    }
    xen?.runstate(vcpus.active, vcpus.runnable(vcpus.current) ? 1 : 2);
    vcpus.switchTo(id);
    this.door.vcpu = id;
    this.door.debugArmed = true;
    xen?.runstate(id, 0);
  }

  /** How far the processor may run: the nearest of everything that is due. */
  #plan(icountLimit: number): number {
    const { clock, inputs } = this;
    let limit = Math.min(
      icountLimit,
      clock.icount + POLL_INTERVAL,
      clock.icountAt(clock.nextNs()),
      this.#nextSample,
    );
    limit = Math.min(limit, (Math.floor(clock.icount / EPOCH) + 1) * EPOCH);
    if (this.vcpus.all.length > 1) limit = Math.min(limit, clock.icount + this.scheduler.left);
    const due = inputs.nextDue(), injected = inputs.nextIcount?.() ?? Infinity;
    if (due !== null) {
      // Time may jump before its count is reached (port accesses cost some): the count comes first.
      const at = due.icount > clock.icount ? due.icount : clock.icountAt(due.timeNs);
      if (at > clock.icount) limit = Math.min(limit, at);
    }
    return injected > clock.icount ? Math.min(limit, injected) : limit;
  }

  /** A timer was armed while the processor runs: it may have to stop earlier. */
  #rearm(): void {
    const at = this.clock.icountAt(this.clock.nextNs());
    if (at < this.cpu.limit) this.cpu.limit = at;
  }

  /** Output may have made a scripted input due while the processor runs: it may have to stop earlier. */
  #expectInput(): void {
    const due = this.inputs.nextDue();
    if (due === null) return;
    const at = due.icount > this.clock.icount ? due.icount : this.clock.icountAt(due.timeNs);
    if (at > this.clock.icount && at < this.cpu.limit) this.cpu.limit = at;
  }

  #fire(): void {
    const { clock, vcpus, cpu } = this;
    if (clock.nextNs() > clock.now()) return;
    // A due timer takes the processor away from a running guest, as a host interrupt would.
    if (clock.icount > 0 && vcpus.current.online && !cpu.halted) {
      cpu.currentRip = cpu.s.rip;
      this.door.pass(Reason.INTR);
    }
    clock.fireDue();
  }

  #takeInputs(): void {
    const { inputs, clock } = this;
    for (let i = 0; i < 1024; i++) {
      const input = inputs.poll(clock.icount, clock.now());
      if (input === null) return;
      this.noteInput(input.kind, input.target, input.payload);
      this.#idleJumps = 0;
      this.#apply(input.kind, input.target, input.payload);
    }
  }

  #apply(kind: InputKind, target: string, payload: Uint8Array): void {
    if (kind === "debugger") return applyDebuggerInput(this, target, payload);
    if (kind === "fault" && target === FLIP_TARGET) return flip(this.mem, payload);
    if (kind !== "console") return;
    if (target === "xen") this.xen?.receive(payload);
    else this.platform.receive(target, payload);
  }

  /** Tells the observer of an input, answered or pushed. */
  noteInput(kind: InputKind, target: string, payload: Uint8Array): void {
    const input: Input = {
      seq: this.#inputSeq++,
      icount: this.clock.icount,
      timeNs: this.clock.now(),
      vcpu: this.vcpus.active,
      kind,
      target,
      payload,
    };
    this.tell((o) => o.onInput(input));
  }

  /** Gives something to the observer, or keeps it until one can be attached. */
  tell(what: (o: Observer) => void): void {
    if (this.door.observer !== null) {
      what(this.door.observer);
      this.#expectInput();
    } else if (this.#early !== null && this.#early.length < 4096) this.#early.push(what);
  }

  /** Nobody can run: jump to what is due next, or say that nothing will come. */
  #idle(): "waiting" | null {
    const { clock, inputs, vcpus } = this;
    this.platform.flush();
    const due = inputs.nextDue();
    const input = due !== null && due.icount <= clock.icount ? due.timeNs : Infinity;
    const unasked = this.platform.mayWakeUnasked();
    const wakeable = vcpus.all.some((v) => v.online && (unasked || vcpus.canWake(v)));
    const timer = wakeable ? clock.nextNs() : Infinity;
    const next = Math.min(input, timer);
    if (next === Infinity || ++this.#idleJumps > IDLE_JUMPS_MAX) {
      if (due === null && wakeable) return "waiting";
      this.stop({
        kind: "halted",
        message:
          `Every vCPU is halted and nothing can wake it (${this.location()}); the guest disabled interrupts and stopped.`,
      });
      return null;
    }
    if (next > this.idleLimitNs) return "waiting";
    clock.skipTo(next);
    return null;
  }

  #stopped(why: number): void {
    if (why === Stopped.SHUTDOWN) {
      this.door.pass(Reason.SHUTDOWN);
      this.stop({
        kind: "triple-fault",
        message: `Triple fault (${this.location()}); replay the recording up to there to see how it came.`,
      });
    } else if (why === Stopped.HALTED) this.scheduler.giveUp();
  }

  /** What happens at fixed instruction counts. */
  #boundaries(): void {
    const { clock } = this;
    if (clock.icount % EPOCH === 0) this.cpu.mmu.flushAll();
    if (clock.icount >= this.#nextSample) {
      this.#nextSample = (Math.floor(clock.icount / this.config.sampleInterval) + 1) *
        this.config.sampleInterval;
      this.sampler?.tick();
    }
  }

  /** STARTUP IPI: the vCPU begins in real mode at vector × 4096. */
  startVcpu(id: number, vector: number): void {
    const v = this.vcpus.all[id];
    if (!v.waitForSipi) return;
    v.waitForSipi = false;
    v.online = true;
    v.halted = false;
    resetVcpu(this, id, vector);
    this.xen?.started(id);
  }

  /** Answers CPUID without Xen's leaves. */
  baseCpuid(leaf: number, sub: number): CpuidResult {
    const { s } = this.cpu, v = this.vcpus.active;
    return this.policy.cpuid(leaf, sub, {
      apicId: this.platform.lapic(v).id,
      vcpus: this.config.vcpus,
      cr4: s.cr4,
      xcr0: s.word(L.XCR0),
      apicIdShift: this.config.xen ? 1 : 0,
      apicEnabled: this.platform.lapic(v).enabled,
    });
  }

  /** The virtual time-stamp counter. */
  tscNow(): number {
    return Math.floor(this.clock.now() * (this.config.tscKhz / 1e6));
  }

  xenVcpu(): XenVcpu {
    return this.#host.vcpus[this.vcpus.active];
  }

  countHypercall(): void {
    this.hypercallCount++;
  }

  /** "icount N, RIP 0x…", for messages. */
  location(): string {
    return `icount ${this.clock.icount}, RIP 0x${this.where().rip.toString(16)}`;
  }

  /** Ends the run; the first ending wins. */
  stop(outcome: Outcome): void {
    if (this.outcome !== null) return;
    this.platform.flush();
    this.outcome = outcome;
    this.cpu.requestReturn();
  }

  /** @see Machine.requestStop */
  requestStop(outcome: Outcome): void {
    // The exit is at the next instruction, wherever the processor last left generated code.
    this.cpu.currentRip = this.cpu.s.rip;
    if (outcome.kind === "instruction-limit") this.door.pass(Reason.INSTRUCTION_LIMIT);
    else if (outcome.kind === "host-stop") this.door.pass(Reason.HOST_STOP);
    this.stop(outcome);
  }

  /** @see Machine.saveState */
  saveState(): Uint8Array {
    const devices: { [name: string]: Json } = {};
    for (const s of [...this.snapshots].sort((a, b) => a.name < b.name ? -1 : 1)) devices[s.name] = s.save();
    const state = {
      version: STATE_VERSION,
      clock: this.clock.save(),
      vcpus: this.vcpus.save(),
      scheduler: this.scheduler.save(),
      debugArmed: this.door.debugArmed,
      exits: this.door.count,
      hypercalls: this.hypercallCount,
      inputs: this.#inputSeq,
      devices,
      ...(this.sampler === null ? {} : { sampler: this.sampler.save() }),
    };
    return new TextEncoder().encode(JSON.stringify(state));
  }

  /** @see Machine.loadState */
  loadState(bytes: Uint8Array): void {
    const s = JSON.parse(new TextDecoder().decode(bytes));
    if (s.version !== STATE_VERSION) {
      throw new RangeError(
        `Cannot load machine state: version is ${s.version}, this build reads ${STATE_VERSION}`,
      );
    }
    this.clock.load(s.clock);
    for (const d of this.snapshots) d.load(s.devices[d.name]);
    this.clock.load(s.clock);
    this.scheduler.load(s.scheduler);
    this.door.debugArmed = s.debugArmed;
    this.door.count = s.exits;
    this.hypercallCount = s.hypercalls;
    this.#inputSeq = s.inputs;
    if (s.sampler !== undefined) this.sampler?.load(s.sampler);
    this.cpu.code.forgive();
    this.vcpus.load(s.vcpus);
    this.door.vcpu = this.vcpus.active;
    this.cpu.mmu.flushAll();
    this.outcome = null;
    this.#early = null;
    const every = this.config.sampleInterval;
    this.#nextSample = every > 0 ? (Math.floor(this.clock.icount / every) + 1) * every : Infinity;
  }

  /** @see Machine.takeDirtyPages */
  takeDirtyPages(): number[] {
    const { dirty } = this.mem, out: number[] = [];
    let p = -1;
    while ((p = dirty.indexOf(1, p + 1)) >= 0) out.push(p);
    dirty.fill(0);
    this.cpu.mmu.watchWrites();
    return out;
  }

  /** @see Machine.where */
  where(): { vcpu: number; rip: bigint; cr3: bigint; cpl: number } {
    const { s } = this.cpu, word = (o: number) => BigInt(s.word(o)) | BigInt(s.word(o + 4)) << 32n;
    return { vcpu: this.vcpus.active, rip: word(L.RIP), cr3: word(L.CR3), cpl: s.cpl };
  }
}

/** Creates a machine ready to run its first instruction. @throws GuestError for images or settings that cannot be used */
export function createMachine(
  config: MachineConfig,
  images: GuestImage[],
  inputs: Inputs,
  engine: EngineOptions = {},
): RetrovisorMachine {
  return new RetrovisorMachine(config, images, inputs, engine);
}
