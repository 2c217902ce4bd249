/**
 * Xen as a guest meets it: one object that owns every part, and the dispatch of hypercalls.
 *
 * Source: Xen 4.17 public headers and documents; the behaviour is that of an unprivileged HVM/PVH domain.
 *
 * @module
 */
import type { Json, Snapshottable } from "../bus.ts";
import type { CpuidResult } from "../cpu/hooks.ts";
import type { HypercallEvent } from "../exits.ts";
import type { OutcomeKind } from "../outcome.ts";
import { Errno, errnoName, HVM_MAX_VCPUS, Hypercall } from "./abi.ts";
import { Call, WORK_LIMIT } from "./call.ts";
import { Console } from "./console.ts";
import { eventChannelOp } from "./event_op.ts";
import { EventChannels } from "./events.ts";
import { grantTableOp } from "./grant_op.ts";
import { Grants } from "./grants.ts";
import type { XenHost, XenVcpu } from "./host.ts";
import { hvmOp } from "./hvm_op.ts";
import { Memory } from "./memory.ts";
import { memoryOp } from "./memory_op.ts";
import { hypercallShape, subopMask } from "./names.ts";
import { consoleIo, dmOp, domctl, mmuextOp, pagingDomctlCont, physdevOp } from "./other_ops.ts";
import { platformOp, sysctl, vmAssist } from "./other_ops.ts";
import { Params } from "./params.ts";
import { schedOp, Watchdogs } from "./sched_op.ts";
import { SharedInfo } from "./shared_info.ts";
import { StoreRing } from "./store_ring.ts";
import { Time } from "./time.ts";
import { Upcall } from "./upcall.ts";
import { Runstate, VcpuState } from "./vcpu.ts";
import { setTimerOp, vcpuOp } from "./vcpu_op.ts";
import { hypercallPage, xenCpuid, xenVersion } from "./version.ts";

/** Registers (encoding order) that hold the arguments, by width. */
const ARGS64 = [7, 6, 2, 10, 8, 9], ARGS32 = [3, 1, 2, 6, 7, 5];
/** Most entries of one multicall. */
const MULTICALL_LIMIT = 65536;
/** Shutdown reasons (sched.h). */
const SHUTDOWNS: [OutcomeKind, string][] = [
  ["poweroff", "the guest powered off"],
  ["reboot", "the guest asked for a reboot"],
  ["suspend", "the guest suspended itself"],
  ["crash", "the guest reported a crash"],
  ["watchdog", "the guest's watchdog expired"],
  ["reboot", "the guest asked for a soft reset"],
];

/** Xen's side of one domain. */
export class Xen implements Snapshottable {
  readonly name = "xen";
  readonly shared: SharedInfo;
  readonly vcpus: readonly VcpuState[];
  readonly upcall: Upcall;
  readonly events: EventChannels;
  readonly time: Time;
  readonly grants: Grants;
  readonly memory: Memory;
  readonly params = new Params();
  readonly store: StoreRing;
  readonly console: Console;
  readonly watchdogs: Watchdogs;
  /** Latched by SCHEDOP_shutdown_code. */
  shutdownCode: number | null = null;
  /** vm_assist bits. */
  assists = 0;
  /** Hypercalls so far, entries of multicalls included. */
  hypercalls = 0;
  #inMulticall = false;
  /** Arguments of the hypercall in progress, as words and as wholes. */
  readonly #words = new Uint32Array(12);
  readonly #wide = new BigUint64Array(this.#words.buffer);

  constructor(readonly host: XenHost) {
    const { config, mem, clock } = host;
    if (config.vcpus > HVM_MAX_VCPUS) throw new RangeError(`Cannot create more than ${HVM_MAX_VCPUS} vCPUs`);
    this.shared = new SharedInfo(mem, config.vcpus);
    const timers = {
      timerEvent: (v: number) => this.time.timerEvent(v),
      pollTimeout: (v: number) => host.wake(v),
    };
    this.vcpus = Array.from({ length: config.vcpus }, (_, id) => new VcpuState(id, clock, timers));
    this.upcall = new Upcall(host, this.shared, this.vcpus);
    this.events = new EventChannels(host, this.shared, this.vcpus, this.upcall);
    this.time = new Time(host, this.shared, this.vcpus, this.events);
    this.grants = new Grants(mem);
    this.memory = new Memory(mem, config.memoryBytes / 4096, this.shared, this.grants);
    this.store = new StoreRing(host, this.events);
    this.console = new Console(host, this.events);
    this.watchdogs = new Watchdogs(this);
    this.time.updateAll();
    host.snapshot(this);
  }

  /** MSR that sets up the hypercall page. */
  get hypercallMsr(): number {
    return this.host.config.xenCpuidBase === 0x40000000 ? 0x40000000 : 0x40000200;
  }

  /** CPUID in hypervisors' range; null outside it. */
  cpuid(leaf: number, subleaf: number, vcpu: number): CpuidResult | null {
    return xenCpuid(this, leaf, subleaf, vcpu);
  }

  /**
   * WRMSR to `hypercallMsr`: fills the hypercall page.
   * @returns false when #GP is due (page index not 0, or no RAM there)
   */
  writeHypercallMsr(lo: number, hi: number, is64: boolean): boolean {
    const gfn = hi * 0x100000 + (lo >>> 12);
    if (lo & 0xfff || !this.memory.isWritableRam(gfn)) return false;
    this.host.mem.write(gfn * 4096, hypercallPage(this.host.vendor));
    this.latchWidth(is64);
    return true;
  }

  /** The shared layout follows the width of the code that sets up calls and callbacks. */
  latchWidth(is64: boolean): void {
    this.shared.latch(is64);
    this.shared.writeWallclock(this.host.wallclock());
  }

  /** VMMCALL or VMCALL: performs the hypercall that the registers describe, and stores its result in RAX. */
  hypercall(vcpu: XenVcpu): void {
    const is64 = vcpu.is64, nr = numberOf(vcpu.reg(0), is64 ? vcpu.regHi(0) : 0);
    const words = this.#words, regs = is64 ? ARGS64 : ARGS32;
    for (let i = 0; i < regs.length; i++) {
      words[i * 2] = vcpu.reg(regs[i]);
      words[i * 2 + 1] = is64 ? vcpu.regHi(regs[i]) : 0;
    }
    const call = new Call(vcpu, is64, words, this.host.observer !== null);
    const result = vcpu.cpl === 0 ? this.#perform(nr, call) : -Errno.EPERM;
    vcpu.setReg(0, result >>> 0, is64 ? Math.floor(result / 0x1_0000_0000) >>> 0 : 0);
    this.#report(nr, call, result, -1);
  }

  /** Vector of the event callback that is due on a vCPU (ahead of PIC and local APIC; no acknowledge), or -1. */
  pendingVector(vcpu: number): number {
    return this.upcall.pendingVector(vcpu);
  }

  /** Port and icount of the event that raised a vCPU's upcall last. */
  raised(vcpu: number): { port: number; icount: number } {
    const v = this.vcpus[vcpu];
    return { port: v.raisedPort, icount: v.raisedIcount };
  }

  /** A vCPU's wait (SCHEDOP_block, SCHEDOP_poll, HLT) is over, for whatever reason. */
  unblocked(vcpu: number): void {
    const v = this.vcpus[vcpu];
    v.pollPort = 0;
    this.host.clock.arm(v.poll, Infinity);
    if (v.runstate === Runstate.BLOCKED) this.time.runstate(v, Runstate.RUNNABLE);
  }

  /** A vCPU enters one of `Runstate`; RUNNING while it is the active one, so that its areas can be written. */
  runstate(vcpu: number, state: number): void {
    this.time.runstate(this.vcpus[vcpu], state);
  }

  /** A vCPU was started by INIT-SIPI rather than by VCPUOP_up. */
  started(vcpu: number): void {
    const v = this.vcpus[vcpu];
    if (v.up) return;
    v.initialised = v.up = true;
    this.time.runstate(v, Runstate.RUNNABLE);
  }

  /**
   * A vCPU executed HLT with interrupts off. Xen takes that for the wish to stop: the vCPU goes down, and the last one
   * to do so powers the domain off. (This is how Linux as a PVH domain switches itself off: there is no ACPI S5.)
   */
  haltedForGood(vcpu: number): void {
    const v = this.vcpus[vcpu];
    v.up = false;
    this.time.runstate(v, Runstate.OFFLINE);
    if (this.vcpus.some((other) => other.up)) this.host.down(vcpu);
    else this.shutdown(0);
  }

  /** Input typed at the domain's console. */
  receive(bytes: Uint8Array): void {
    this.console.receive(bytes);
  }

  /** The domain ends itself with a SHUTDOWN_* reason. */
  shutdown(reason: number): void {
    this.shutdownCode ??= reason;
    const code = this.shutdownCode, known = SHUTDOWNS[code];
    if (known) this.host.stop({ kind: known[0], message: `${known[1]} (Xen shutdown reason ${code})`, code });
    else this.crash(`the guest shut down with the unknown reason ${code}`, code);
  }

  /** The domain is destroyed because of something it did. */
  crash(message: string, code = 3): void {
    this.host.stop({ kind: "crash", message, code });
  }

  save(): Json {
    return {
      shared: this.shared.save(),
      vcpus: this.vcpus.map((v) => v.save()),
      upcall: this.upcall.save(),
      events: this.events.save(),
      grants: this.grants.save(),
      memory: this.memory.save(),
      params: this.params.save(),
      store: this.store.save(),
      console: this.console.save(),
      watchdogs: this.watchdogs.save(),
      shutdownCode: this.shutdownCode,
      assists: this.assists,
      hypercalls: this.hypercalls,
    };
  }

  load(state: Json): void {
    const s = state as Record<string, Json>;
    this.shared.load(s.shared);
    (s.vcpus as Json[]).forEach((v, i) => this.vcpus[i].load(v));
    this.upcall.load(s.upcall);
    this.events.load(s.events);
    this.grants.load(s.grants);
    this.memory.load(s.memory);
    this.params.load(s.params);
    this.store.load(s.store);
    this.console.load(s.console);
    this.watchdogs.load(s.watchdogs);
    this.shutdownCode = s.shutdownCode as number | null;
    this.assists = s.assists as number;
    this.hypercalls = s.hypercalls as number;
  }

  #perform(nr: number, c: Call): number {
    switch (nr) {
      case Hypercall.memory_op:
        return memoryOp(this, c);
      case Hypercall.multicall:
        return this.#multicall(c);
      case Hypercall.set_timer_op:
        return setTimerOp(this, c);
      case Hypercall.xen_version:
        return xenVersion(this, c);
      case Hypercall.console_io:
        return consoleIo(this, c);
      case Hypercall.grant_table_op:
        return grantTableOp(this, c);
      case Hypercall.vm_assist:
        return vmAssist(this, c);
      case Hypercall.vcpu_op:
        return vcpuOp(this, c);
      case Hypercall.sched_op:
        return schedOp(this, c);
      case Hypercall.event_channel_op:
        return eventChannelOp(this, c);
      case Hypercall.hvm_op:
        return hvmOp(this, c);
      default:
        return this.#refused(nr, c);
    }
  }

  /** Hypercalls that an unprivileged HVM domain does not get. */
  #refused(nr: number, c: Call): number {
    switch (nr) {
      case Hypercall.platform_op:
        return platformOp(c);
      case Hypercall.mmuext_op:
        return mmuextOp(c);
      case Hypercall.physdev_op:
        return physdevOp();
      case Hypercall.sysctl:
        return sysctl(c);
      case Hypercall.domctl:
        return domctl(c);
      case Hypercall.xenpmu_op:
        return -Errno.EOPNOTSUPP;
      case Hypercall.dm_op:
        return dmOp(c);
      case Hypercall.hypfs_op:
        return -Errno.EPERM;
      case Hypercall.arch_1:
        return pagingDomctlCont(c);
      default:
        // xsm_op and argo_op as well: neither is built into a default Xen.
        return -Errno.ENOSYS;
    }
  }

  /** multicall(list, count): a list of hypercalls, each with its result; no multicall inside a multicall. */
  #multicall(c: Call): number {
    if (this.#inMulticall) return -Errno.EINVAL;
    if (c.u32(1) > MULTICALL_LIMIT) return -Errno.E2BIG;
    this.#inMulticall = true;
    try {
      return this.#entries(c, c.u32(1));
    } finally {
      this.#inMulticall = false;
    }
  }

  #entries(c: Call, count: number): number {
    const size = c.is64 ? 64 : 32;
    let work = WORK_LIMIT;
    for (let i = 0; i < count; i++) {
      const at = c.ptr(0) + i * size, s = c.struct(at, 64, 32);
      if (s === null) return -Errno.EFAULT;
      const words = new Uint32Array(12);
      for (let a = 0; a < 6; a++) {
        words[a * 2] = s.u32(c.long * (2 + a));
        words[a * 2 + 1] = c.is64 ? s.u32(c.long * (2 + a) + 4) : 0;
      }
      const nr = numberOf(s.u32(0), c.is64 ? s.u32(4) : 0);
      const entry = new Call(c.vcpu, c.is64, words, c.traced, work);
      const result = this.#perform(nr, entry);
      work = entry.work;
      this.#report(nr, entry, result, this.host.exitSeq);
      if (!c.writeLong(at + c.long, result)) return -Errno.EFAULT;
    }
    return 0;
  }

  #report(nr: number, c: Call, result: number, parentSeq: number): void {
    this.hypercalls++;
    const { observer, exitSeq, clock } = this.host;
    if (observer === null) return;
    const shape = hypercallShape(nr), sub = (c.u32(0) & subopMask(nr)) >>> 0;
    const wide = c.words === this.#words ? this.#wide : new BigUint64Array(c.words.buffer);
    const args: bigint[] = [];
    for (let i = 0; i < shape.args; i++) args.push(wide[i]);
    const event: HypercallEvent = {
      seq: exitSeq,
      parentSeq,
      icount: clock.icount,
      vcpu: c.vcpu.id,
      nr,
      name: shape.name,
      subop: shape.subops ? sub : -1,
      subopName: shape.subops?.[sub] ?? null,
      args,
      result: BigInt(result),
      errnoName: errnoName(result),
      buffer: c.buffer,
    };
    observer.onHypercall(event);
  }
}

/** Number of a hypercall as a guest gives it, in 64 bits; what no recording could hold exactly stands for all beyond. */
function numberOf(low: number, high: number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, (high >>> 0) * 0x1_0000_0000 + (low >>> 0));
}
