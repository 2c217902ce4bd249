/**
 * One client of the debugger: what its packets ask for, and the answers. See gdb's manual, appendix "gdb Remote Serial
 * Protocol".
 *
 * @module
 */
import { Divergence } from "../divergence.ts";
import { type Branch, BranchError, branchOff } from "./branch.ts";
import type { Arrival, Debuggee } from "./debuggee.ts";
import { hostFile, SYMBOLS_FILE } from "./files.ts";
import { monitor, type MonitorExtras } from "./monitor.ts";
import { hexBytes, hexText, PACKET_BYTES_MAX, unhex, unhexText } from "./packets.ts";
import { Points } from "./points.ts";
import { Target } from "./target.ts";

const REFUSED = "E.This is a recording: its registers and memory cannot be changed during replay. " +
  "monitor branch makes a machine that can be";
const FORWARD = "E.A machine that runs goes forwards only; record it, and debug the recording";
const FEATURES = [
  `PacketSize=${PACKET_BYTES_MAX.toString(16)}`,
  "QStartNoAckMode+",
  "qXfer:features:read+",
  "swbreak+",
  "hwbreak+",
  "vContSupported+",
  "ConditionalBreakpoints+",
];
const REVERSE_FEATURES = ["ReverseStep+", "ReverseContinue+"];

/** What becomes of the connection after a packet. */
export interface Answer {
  /** Contents of the answering packet; null: none. */
  text: string | null;
  /** The client leaves. */
  close?: boolean;
  /** From now on packets are not acknowledged. */
  noAck?: boolean;
}

/** A client's conversation, apart from bytes and sockets. */
export class GdbSession {
  readonly points = new Points();
  #debuggee: Debuggee;
  #target: Target;
  #branch: Branch | null = null;
  #general = 0;
  #stop = "";

  /**
   * @param interrupted asked now and then: true ends what goes on
   * @param extras what `monitor` can do beyond this folder
   */
  constructor(
    readonly origin: Debuggee,
    readonly originTarget: Target,
    readonly interrupted: () => boolean = () => false,
    readonly extras: MonitorExtras = {},
  ) {
    this.#debuggee = origin;
    this.#target = originTarget;
    origin.interrupted = interrupted;
    originTarget.physical = false;
    if (origin.live) origin.hold();
    this.#general = origin.machine.vcpus.active;
    this.#stop = this.#signal(5);
  }

  /** The client has gone: a branch ends, a machine runs on. */
  async end(): Promise<void> {
    await this.#endBranch();
    const { origin } = this;
    if (origin.live) origin.release();
    else origin.debug.condition = null;
  }

  /** Answers a packet. Never throws for what a client says. */
  async answer(packet: string): Promise<Answer> {
    try {
      return await this.#dispatch(packet);
    } catch (e) {
      if (!(e instanceof Error)) throw e;
      // What goes wrong in the recording is told, and the session goes on where it is.
      const what = e instanceof Divergence ? "The replay is not as recorded" : "Cannot do this";
      const text = `${what}: ${e.message.split("\n")[0]}`;
      // The answer to a monitor command is text for people.
      return { text: packet.startsWith("qRcmd,") ? hexText(text + "\n") : `E.${text}` };
    }
  }

  async #dispatch(p: string): Promise<Answer> {
    const rest = p.slice(1);
    switch (p[0]) {
      case "?":
        return { text: this.#stop };
      case "g":
        return {
          text: this.#target.registers.map((r) => hexBytes(this.#target.register(this.#general, r))).join(""),
        };
      case "p":
        return { text: this.#register(rest) };
      case "G":
      case "P":
      case "M":
      case "X":
        return { text: this.#write(p) };
      case "m":
        return { text: this.#memory(rest) };
      case "H":
        return { text: this.#select(rest) };
      case "T":
        return { text: this.#thread(rest) === null ? "E01" : "OK" };
      case "Z":
      case "z":
        return { text: this.points.change(p, this.#target) };
      case "s":
      case "c":
        return {
          text: rest === ""
            ? await this.#go(p[0])
            : "E.Execution cannot continue elsewhere; write the program counter first",
        };
      case "b":
        return { text: p === "bs" || p === "bc" ? await this.#go(p) : "" };
      case "D":
        return { text: "OK", close: true };
      case "k":
        return { text: null, close: true };
      case "v":
        return await this.#verb(p);
      case "q":
        return { text: await this.#query(p) };
      case "Q":
        return this.#set(p);
      default:
        return { text: "" };
    }
  }

  #register(hex: string): string {
    const r = /^[0-9a-f]{1,4}$/i.test(hex) ? this.#target.registers[parseInt(hex, 16)] : undefined;
    return r === undefined ? "E01" : hexBytes(this.#target.register(this.#general, r));
  }

  #write(p: string): string {
    const d = this.#debuggee;
    // gdb asks with an empty write whether it may.
    if (/^X[0-9a-f]+,0:$/i.test(p)) return "OK";
    if (!d.live) return REFUSED;
    const register = /^P([0-9a-f]{1,4})=((?:[0-9a-f]{2}){1,16})$/i.exec(p);
    if (register !== null) return this.#writeRegister(parseInt(register[1], 16), unhex(register[2]));
    const all = /^G((?:[0-9a-f]{2})+)$/i.exec(p);
    if (all !== null) return this.#writeRegisters(unhex(all[1]));
    const m = /^([MX])([0-9a-f]{1,16}),([0-9a-f]{1,8}):(.*)$/is.exec(p);
    const address = m === null ? null : this.#target.linear(m[2]);
    if (m === null || address === null) return "E01";
    const bytes = m[1] === "M" ? unhex(m[4]) : Uint8Array.from(m[4], (c) => c.charCodeAt(0));
    if (bytes.length !== parseInt(m[3], 16)) return "E01";
    return this.#target.write(d, this.#general, address, bytes) ? "OK" : "E0e";
  }

  #writeRegister(number: number, value: Uint8Array): string {
    const r = this.#target.registers[number], d = this.#debuggee;
    if (r === undefined || !d.live || value.length !== r.bits / 8) return "E01";
    return this.#target.writeRegister(d, this.#general, r, value)
      ? "OK"
      : `E.Register ${r.name} cannot be written; general registers, flags, program counter and xmm can`;
  }

  /** Writes those registers that differ from what they are. */
  #writeRegisters(values: Uint8Array): string {
    let at = 0;
    for (const [n, r] of this.#target.registers.entries()) {
      const value = values.subarray(at, at += r.bits / 8), now = this.#target.register(this.#general, r);
      if (value.length < now.length || now.every((b, i) => b === value[i])) continue;
      const answer = this.#writeRegister(n, value);
      if (answer !== "OK") return answer;
    }
    return "OK";
  }

  #memory(args: string): string {
    const m = /^([0-9a-f]{1,16}),([0-9a-f]{1,8})$/i.exec(args);
    const address = m ? this.#target.linear(m[1]) : null;
    if (m === null || address === null) return "E01";
    const length = Math.min(parseInt(m[2], 16), PACKET_BYTES_MAX / 2 - 16);
    const bytes = this.#target.read(this.#general, address, length);
    return bytes.length === 0 && length > 0 ? "E0e" : hexBytes(bytes);
  }

  /** vCPU of a thread id (1 and up); null when there is none. 0 and -1 mean any. */
  #thread(id: string): number | null {
    if (id === "0" || id === "-1") return this.#debuggee.machine.vcpus.active;
    const n = /^[0-9a-f]{1,4}$/i.test(id) ? parseInt(id, 16) - 1 : -1;
    return n >= 0 && n < this.#target.vcpus ? n : null;
  }

  #select(args: string): string {
    const vcpu = this.#thread(args.slice(1));
    if (vcpu === null || !/^[gcm]/.test(args)) return "E01";
    if (args[0] !== "c") this.#general = vcpu;
    return "OK";
  }

  async #verb(p: string): Promise<Answer> {
    if (p === "vCont?") return { text: "vCont;c;C;s;S" };
    if (p.startsWith("vCont;")) {
      const action = /^vCont;([csCS])/.exec(p)?.[1];
      // One action for all: vCPUs run in the recorded order.
      const steps = /;[sS]/.test(p);
      return { text: action === undefined ? "E01" : await this.#go(steps ? "s" : "c") };
    }
    if (p.startsWith("vKill")) return { text: "OK", close: true };
    return { text: p.startsWith("vFile:") ? hostFile(p, this.#target.symbols) : "" };
  }

  async #query(p: string): Promise<string> {
    if (p.startsWith("qSupported")) {
      const features = this.#debuggee.live ? FEATURES : [...FEATURES, ...REVERSE_FEATURES];
      return (this.#target.symbols === null ? features : [...features, "qXfer:exec-file:read+"]).join(";");
    }
    if (p.startsWith("qXfer:exec-file:read:")) {
      return this.#target.symbols === null ? "E00" : `l${SYMBOLS_FILE}`;
    }
    if (p.startsWith("qXfer:features:read:")) return this.#description(p.slice(20));
    if (p.startsWith("qRcmd,")) return await this.#command(p.slice(6));
    if (p.startsWith("qThreadExtraInfo,")) {
      const vcpu = this.#thread(p.slice(17));
      return vcpu === null ? "E01" : hexText(this.#target.describe(vcpu));
    }
    switch (p) {
      case "qfThreadInfo":
        return "m" + Array.from({ length: this.#target.vcpus }, (_, i) => (i + 1).toString(16)).join(",");
      case "qsThreadInfo":
        return "l";
      case "qC":
        return `QC${(this.#general + 1).toString(16)}`;
      case "qAttached":
        return "1";
      case "qqemu.PhyMemMode":
        return this.#target.physical ? "1" : "0";
      default:
        return "";
    }
  }

  #set(p: string): Answer {
    if (p === "QStartNoAckMode") return { text: "OK", noAck: true };
    const m = /^Qqemu\.PhyMemMode:([01])$/.exec(p);
    if (m === null) return { text: "" };
    this.#target.physical = m[1] === "1";
    return { text: "OK" };
  }

  #description(args: string): string {
    const m = /^([^:]*):([0-9a-f]{1,8}),([0-9a-f]{1,8})$/i.exec(args);
    if (m === null || m[1] !== "target.xml") return "E00";
    const from = parseInt(m[2], 16), { xml } = this.#target;
    const part = xml.slice(from, from + Math.min(parseInt(m[3], 16), PACKET_BYTES_MAX / 2));
    return (from + part.length < xml.length ? "m" : "l") + part;
  }

  async #command(hex: string): Promise<string> {
    const line = unhexText(hex);
    if (line === null) return "E01";
    const said = await this.#monitor(line);
    this.#moved();
    const most = PACKET_BYTES_MAX / 2 - 16;
    return said === "" ? "OK" : hexText(said.length > most ? said.slice(0, most) + "\n" : said);
  }

  async #monitor(line: string): Promise<string> {
    const [verb, what] = line.trim().split(/\s+/);
    if (verb !== "branch") return await monitor(this.#debuggee, this.#target, line, this.extras);
    if (what === "end") {
      return await this.#endBranch() ?? "There is no branch here: monitor branch makes one.\n";
    }
    return what === undefined ? await this.#startBranch() : 'branch takes nothing, or the word "end".\n';
  }

  async #startBranch(): Promise<string> {
    const { origin, extras } = this;
    if (this.#branch !== null) return "This is a branch already; monitor branch end goes back.\n";
    if (origin.live) return "This machine runs: it can be written to as it is.\n";
    if (extras.branchPlace === undefined) return "Branches cannot be recorded here.\n";
    const place = extras.branchPlace();
    try {
      this.#branch = await branchOff(origin, place);
    } catch (e) {
      if (!(e instanceof BranchError)) throw e;
      return `${e.message}.\n`;
    }
    const { live } = this.#branch, { arch, symbols } = this.originTarget;
    this.#debuggee = live;
    this.#target = new Target(live.machine, arch, symbols);
    live.interrupted = this.interrupted;
    const where = typeof place === "string" ? place : place.name;
    return `A branch at icount ${origin.icount}, recorded in ${where}. Writes are allowed; monitor branch end goes back.\n`;
  }

  /** Goes back to the recording. @returns what to say; null when there is no branch */
  async #endBranch(): Promise<string | null> {
    const branch = this.#branch;
    if (branch === null) return null;
    this.#branch = null;
    this.#debuggee = this.origin;
    this.#target = this.originTarget;
    const { icount, stateHash } = await branch.end();
    return `The branch ended at icount ${icount}, state ${
      stateHash ?? "not recorded"
    }. This is the recording again.\n`;
  }

  /** The vCPU that runs is the one looked at. */
  #moved(): void {
    this.#general = this.#debuggee.machine.vcpus.active;
    this.#stop = this.#signal(5);
  }

  async #go(how: string): Promise<string> {
    const d = this.#debuggee;
    this.points.apply(d, this.#target);
    let arrival: Arrival;
    if (how === "s") arrival = await d.step();
    else if (how === "c") arrival = await d.resume();
    else if (d.live) return FORWARD;
    else arrival = await (how === "bs" ? d.stepBack() : d.resumeBack());
    this.#moved();
    return this.#stop = this.#reply(arrival);
  }

  #signal(number: number, reason = ""): string {
    return `T${number.toString(16).padStart(2, "0")}${reason}thread:${(this.#general + 1).toString(16)};`;
  }

  #reply(a: Arrival): string {
    switch (a.kind) {
      case "there":
        return this.#signal(5);
      case "breakpoint":
        return this.#signal(
          5,
          this.points.isHardware(this.#debuggee.debug.address()) ? "hwbreak:;" : "swbreak:;",
        );
      case "watchpoint": {
        const name = { 2: "watch", 3: "rwatch", 4: "awatch" }[a.hit.point.kind] ?? "watch";
        const address = BigInt.asUintN(this.#target.arch === "x86-64" ? 64 : 32, BigInt(a.hit.point.address));
        return this.#signal(5, `${name}:${address.toString(16)};`);
      }
      case "begin":
        return this.#signal(5, "replaylog:begin;");
      case "end":
        return this.#signal(5, "replaylog:end;");
      case "exited":
        // A branch can still be looked at; a machine takes its server with it.
        return this.#branch === null ? "W00" : this.#signal(5, "replaylog:end;");
      case "interrupted":
        return this.#signal(2);
    }
  }
}
