/**
 * The two interrupt and device platforms a machine can have: a PC, and local APICs alone (what Xen gives PVH guests).
 *
 * PC wiring, as QEMU's `pc` has it: ISA interrupts go to the 8259 pair and to the I/O APIC, where IRQ 0 is pin 2 (the
 * MADT must override it) and pin 0 is the 8259 pair's output for ExtINT; the 8259's output is LINT0 of every local
 * APIC.
 *
 * @module
 */
import type { DeviceHost, Json, MmioHandler, PortHandler, Snapshottable } from "../bus.ts";
import type { Clock } from "../clock.ts";
import type { InputKind } from "../inputs.ts";
import type { PhysMem } from "../mmu/physmem.ts";
import type { Outcome } from "../outcome.ts";
import { AcpiPm } from "./acpi_pm.ts";
import { ApicBus } from "./apic_bus.ts";
import { DebugConsole, DebugExit, PageRegisters } from "./debug_ports.ts";
import { FwCfg } from "./fw_cfg.ts";
import { I8042 } from "./i8042.ts";
import { IoApic } from "./ioapic.ts";
import { LocalApic } from "./lapic.ts";
import type { ApicSignals, InterruptSource } from "./lapic_defs.ts";
import type { TscClock } from "./lapic_timer.ts";
import { PciConfig } from "./pci.ts";
import { PicPair } from "./pic.ts";
import { Pit } from "./pit.ts";
import { cmosContents, Rtc } from "./rtc.ts";
import { StateReader } from "./state.ts";
import { COM_PORTS, Uart } from "./uart.ts";
import { Vga } from "./vga.ts";

/** An acknowledged interrupt. One object is reused. */
export interface AcknowledgedInterrupt {
  /** -1: nothing was pending. */
  vector: number;
  source: InterruptSource;
  /** icount at which it was requested. */
  raisedIcount: number;
}

/** What a machine asks of its platform. */
export interface Platform {
  /** An interrupt could be delivered to the vCPU now, were its IF set. */
  interruptPending(vcpu: number): boolean;
  /** Acknowledges the highest-priority interrupt. The answer is valid until the next call. */
  interruptAck(vcpu: number): AcknowledgedInterrupt;
  /** Local APIC of a vCPU. */
  lapic(vcpu: number): LocalApic;
  /** Level of an interrupt line: GSI 0-23, of which 0-15 are the ISA interrupts. */
  setIrqLine(gsi: number, level: boolean): void;
  /** Input from outside for a device. @returns bytes taken, or -1 when there is no such device. */
  receive(target: string, bytes: Uint8Array): number;
  /** A device may send an NMI or INIT: what wakes a halted vCPU that lets no interrupt in. */
  mayWakeUnasked(): boolean;
  /** Hands on console output that waits for its newline: call when all vCPUs halt and when the run ends. */
  flush(): void;
}

/** Configuration common to both platforms. */
export interface LapicPlatformOptions {
  vcpus: number;
  /** The vCPU that executes now: whose registers the page at 0xfee00000 shows. */
  currentVcpu: () => number;
  /** Where NMI, INIT and start-up messages go. */
  signals: ApicSignals;
  /** APIC ID of each vCPU; default the vCPU's number (Xen: twice that). */
  apicId?: (vcpu: number) => number;
  /** Input clock of the local APIC timers in Hz; default 1 GHz. */
  lapicTimerHz?: number;
  x2apic?: boolean;
  /** TSC-deadline mode is offered, on this relation of TSC and time. */
  tsc?: TscClock | null;
}

/** Configuration of a PC. */
export interface PcOptions extends LapicPlatformOptions {
  /** Guest RAM, all below 4 GiB. */
  memoryBytes: number;
  /** Serial ports, 0 (COM1) to 3; default COM1 only. */
  serialPorts?: number[];
  /** Virtual nanoseconds per port access; default `PORT_ACCESS_NS`. */
  portAccessNs?: number;
  /** Ports that end the run; default 0xf4. */
  debugExitPorts?: number[];
  /** Extra fw_cfg files for firmware, by name. */
  fwCfgFiles?: Record<string, Uint8Array>;
}

/**
 * Virtual nanoseconds that one access to a port of a PC device takes, as on an ISA bus (8 bits, 8 MHz, wait states).
 * Guests poll ports to wait: were an access as fast as any instruction, they would poll a thousand times as often as
 * on a PC, and every poll is an exit.
 */
export const PORT_ACCESS_NS = 1000;

/** A device host whose interrupt lines go elsewhere and whose port accesses take time. */
class RoutedHost implements DeviceHost {
  readonly clock: Clock;
  readonly mem: PhysMem;
  constructor(
    readonly host: DeviceHost,
    readonly accessNs: number,
    readonly route: (gsi: number, level: boolean) => void,
  ) {
    this.clock = host.clock;
    this.mem = host.mem;
  }
  ports(first: number, last: number, handler: PortHandler): void {
    const { clock, accessNs } = this;
    this.host.ports(first, last, {
      read(port, size) {
        clock.stall(accessNs);
        return handler.read(port, size);
      },
      write(port, size, value) {
        clock.stall(accessNs);
        handler.write(port, size, value);
      },
    });
  }
  mmio(gpa: number, bytes: number, handler: MmioHandler): void {
    this.host.mmio(gpa, bytes, handler);
  }
  irq(gsi: number, level: boolean): void {
    this.route(gsi, level);
  }
  console(device: string, bytes: Uint8Array): void {
    this.host.console(device, bytes);
  }
  snapshot(s: Snapshottable): void {
    this.host.snapshot(s);
  }
  ask(kind: InputKind, target: string, bytes: number): Uint8Array {
    return this.host.ask(kind, target, bytes);
  }
  stop(outcome: Outcome): void {
    this.host.stop(outcome);
  }
  interruptsChanged(): void {
    this.host.interruptsChanged();
  }
}

/** Local APICs and nothing else. */
export class LapicPlatform implements Platform {
  readonly bus: ApicBus;
  protected readonly acked: AcknowledgedInterrupt = { vector: -1, source: "device", raisedIcount: 0 };

  constructor(host: DeviceHost, options: LapicPlatformOptions, virtualWire = false) {
    this.bus = new ApicBus(options.signals);
    for (let vcpu = 0; vcpu < options.vcpus; vcpu++) {
      new LocalApic(host, this.bus, {
        vcpu,
        id: options.apicId?.(vcpu) ?? vcpu,
        virtualWire: virtualWire && vcpu === 0,
        tsc: options.tsc ?? null,
        ...(options.lapicTimerHz === undefined ? {} : { timerHz: options.lapicTimerHz }),
        ...(options.x2apic === undefined ? {} : { x2apic: options.x2apic }),
      });
    }
    this.bus.mapRegisters(host, options.currentVcpu);
  }

  interruptPending(vcpu: number): boolean {
    return this.bus.lapics[vcpu].pending() >= 0;
  }

  interruptAck(vcpu: number): AcknowledgedInterrupt {
    const apic = this.bus.lapics[vcpu], a = this.acked;
    a.vector = apic.pending();
    if (a.vector < 0) return a;
    apic.ack();
    a.source = apic.source(a.vector);
    a.raisedIcount = apic.raisedIcount(a.vector);
    return a;
  }

  lapic(vcpu: number): LocalApic {
    return this.bus.lapics[vcpu];
  }

  setIrqLine(_gsi: number, _level: boolean): void {}

  receive(_target: string, _bytes: Uint8Array): number {
    return -1;
  }

  mayWakeUnasked(): boolean {
    return false;
  }

  flush(): void {}
}

/** A PC. */
export class PcPlatform extends LapicPlatform implements Snapshottable {
  readonly pic: PicPair;
  readonly ioapic: IoApic;
  readonly pit: Pit;
  readonly rtc: Rtc;
  readonly i8042: I8042;
  readonly uarts: Uart[];
  readonly vga: Vga;
  readonly #consoles: DebugConsole[];
  readonly name = "pc";
  readonly #host: DeviceHost;
  /** icount at which the 8259 pair last raised its output. */
  #picRaised = 0;
  /** Serial ports that hold a shared interrupt line, by line: bit n is port n. */
  readonly #serialLines: number[] = new Array(16).fill(0);

  constructor(outer: DeviceHost, options: PcOptions) {
    super(outer, options, true);
    const accessNs = options.portAccessNs ?? PORT_ACCESS_NS;
    const host = new RoutedHost(outer, accessNs, (gsi, level) => this.setIrqLine(gsi, level));
    this.#host = outer;
    outer.snapshot(this);
    this.pic = new PicPair(host, (level) => this.#picOutput(level));
    this.ioapic = new IoApic(host, this.bus);
    this.pit = new Pit(host);
    this.rtc = new Rtc(host, cmosContents(options.memoryBytes, options.vcpus));
    this.i8042 = new I8042(host);
    this.uarts = (options.serialPorts ?? [0]).map((index) =>
      new Uart(new RoutedHost(outer, accessNs, (_, level) => this.#serialIrq(index, level)), index)
    );
    this.vga = new Vga(host);
    new PciConfig(host);
    new AcpiPm(host);
    new PageRegisters(host);
    for (const port of options.debugExitPorts ?? [0xf4]) new DebugExit(host, port);
    this.#consoles = [new DebugConsole(host, "port-e9", 0xe9), new DebugConsole(host, "debugcon", 0x402)];
    new FwCfg(host, {
      memoryBytes: options.memoryBytes,
      vcpus: options.vcpus,
      files: options.fwCfgFiles ?? {},
    });
  }

  /** Two ports may share a line: it is asserted while either asserts it. */
  #serialIrq(index: number, level: boolean): void {
    const irq = COM_PORTS[index].irq, bit = 1 << index;
    const holders = level ? this.#serialLines[irq] | bit : this.#serialLines[irq] & ~bit;
    this.#serialLines[irq] = holders;
    this.setIrqLine(irq, holders !== 0);
  }

  #picOutput(level: boolean): void {
    if (level) this.#picRaised = this.#host.clock.icount;
    for (const apic of this.bus.lapics) apic.setLint(0, level);
    this.ioapic.setPin(0, level);
    this.#host.interruptsChanged();
  }

  save(): Json {
    return { picRaised: this.#picRaised, serialLines: [...this.#serialLines] };
  }

  load(state: Json): void {
    const r = new StateReader(this.name, state);
    this.#picRaised = r.num("picRaised");
    r.list("serialLines", 16).forEach((v, i) => this.#serialLines[i] = Number(v));
  }

  /** The 8259 pair's output reaches this vCPU: through LINT0, or through the I/O APIC's pin 0. */
  #picReaches(vcpu: number): boolean {
    const apic = this.bus.lapics[vcpu];
    return apic.extIntEnabled && (vcpu === 0 || apic.enabled) || this.ioapic.extIntDestination(0) === apic.id;
  }

  override interruptPending(vcpu: number): boolean {
    return this.bus.lapics[vcpu].pending() >= 0 || (this.pic.output && this.#picReaches(vcpu));
  }

  override interruptAck(vcpu: number): AcknowledgedInterrupt {
    if (!this.pic.output || !this.#picReaches(vcpu)) return super.interruptAck(vcpu);
    const a = this.acked;
    a.raisedIcount = this.#picRaised;
    a.vector = this.pic.ack();
    a.source = "pic";
    return a;
  }

  override setIrqLine(gsi: number, level: boolean): void {
    if (gsi < 16) this.pic.setLine(gsi, level);
    if (gsi === 0) this.ioapic.setPin(2, level);
    else if (gsi !== 2) this.ioapic.setPin(gsi, level);
  }

  /** Targets: "uart0" ... "uart3" (bytes), "keyboard" (scan codes of set 1). */
  override receive(target: string, bytes: Uint8Array): number {
    if (target === "keyboard") return this.i8042.receive(bytes);
    return this.uarts.find((u) => u.name === target)?.receive(bytes) ?? -1;
  }

  override mayWakeUnasked(): boolean {
    return this.ioapic.sendsUnasked || this.bus.lapics.some((apic) => apic.lint0IsNmi);
  }

  override flush(): void {
    for (const u of this.uarts) u.flush();
    for (const c of this.#consoles) c.flush();
  }

  /** The text-mode screen, 25 lines. */
  textScreen(): string[] {
    return this.vga.textScreen();
  }
}

/** Makes a PC: all devices register themselves with the host. */
export function createPcPlatform(host: DeviceHost, options: PcOptions): PcPlatform {
  return new PcPlatform(host, options);
}

/** Makes the platform of a Xen PVH guest: local APICs only. */
export function createLapicPlatform(host: DeviceHost, options: LapicPlatformOptions): LapicPlatform {
  return new LapicPlatform(host, options);
}
