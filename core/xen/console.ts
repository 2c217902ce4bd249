/**
 * The PV console: the ring shared with the guest, the daemon behind it, and Xen's own log (console_io).
 *
 * Source: Xen 4.17 io/console.h. The daemon runs whenever the guest sends its event.
 *
 * @module
 */
import type { Json } from "../bus.ts";
import { CONSOLE_GFN } from "./abi.ts";
import type { EventChannels } from "./events.ts";
import type { XenHost } from "./host.ts";
import { hex, unhex } from "./xenpage.ts";

const IN_SIZE = 1024, OUT_SIZE = 2048, OUT = IN_SIZE;
const IN_CONS = 3072, IN_PROD = 3076, OUT_CONS = 3080, OUT_PROD = 3084;
const RING_GPA = CONSOLE_GFN * 4096;
/** The daemon's end of the event channel. */
const BACKEND_PORT = 21;
/** Most input that waits; what comes on top is dropped. */
export const INPUT_LIMIT = 64 * 1024;
/** SIF_INITDOMAIN: the guest reads Xen's console with console_io, there is no ring. */
const SIF_INITDOMAIN = 2;

/** Device name of the guest's console, and of Xen's log once the guest is known to use the ring as well. */
export const CONSOLE_DEVICE = "xen", LOG_DEVICE = "xen-log";

/** Console of the domain. */
export class Console {
  /** The guest has asked where the ring is: what it also sends by console_io is a copy. */
  expected = false;
  readonly port: number;
  #input: Uint8Array = new Uint8Array(0);

  constructor(readonly host: XenHost, readonly events: EventChannels) {
    this.port = events.connectBackend(BACKEND_PORT, () => this.service());
  }

  /** Output by console_io. */
  log(bytes: Uint8Array): void {
    this.host.console(this.expected ? LOG_DEVICE : CONSOLE_DEVICE, bytes);
  }

  /** Input typed at the console: goes to the ring as there is room (or to console_io of an initial domain). */
  receive(bytes: Uint8Array): void {
    const room = INPUT_LIMIT - this.#input.length, taken = bytes.subarray(0, Math.max(0, room));
    const joined = new Uint8Array(this.#input.length + taken.length);
    joined.set(this.#input);
    joined.set(taken, this.#input.length);
    this.#input = joined;
    if (!(this.host.config.startInfoFlags & SIF_INITDOMAIN) && this.#fill()) this.#notify();
  }

  /** Input for CONSOLEIO_read, at most `limit` bytes. */
  takeInput(limit: number): Uint8Array {
    const bytes = this.#input.slice(0, limit);
    this.#input = this.#input.slice(bytes.length);
    return bytes;
  }

  /** The daemon looks at the ring: takes output, puts input. */
  service(): void {
    const drained = this.#drain(), filled = this.#fill();
    if (drained || filled) this.#notify();
  }

  save(): Json {
    return { expected: this.expected, pending: this.#input.length, input: hex(this.#input) };
  }
  load(state: Json): void {
    const s = state as { expected: boolean; pending: number; input: string };
    this.expected = s.expected;
    this.#input = unhex(s.input, s.pending);
  }

  #notify(): void {
    this.events.notifyGuest(this.port, BACKEND_PORT);
  }

  /** Takes what the guest has written; an impossible fill level is taken as nonsense and skipped. */
  #drain(): boolean {
    const mem = this.host.mem, cons = mem.read32(RING_GPA + OUT_CONS), prod = mem.read32(RING_GPA + OUT_PROD);
    const level = prod - cons >>> 0;
    if (level === 0 || mem.host(RING_GPA) < 0) return false;
    if (level <= OUT_SIZE) {
      const bytes = new Uint8Array(level);
      for (let i = 0; i < level; i++) bytes[i] = mem.read8(RING_GPA + OUT + (cons + i & OUT_SIZE - 1));
      this.host.console(CONSOLE_DEVICE, bytes);
    }
    mem.write32(RING_GPA + OUT_CONS, prod);
    return true;
  }

  #fill(): boolean {
    const mem = this.host.mem, cons = mem.read32(RING_GPA + IN_CONS), prod = mem.read32(RING_GPA + IN_PROD);
    const level = prod - cons >>> 0;
    if (this.#input.length === 0 || level >= IN_SIZE || mem.host(RING_GPA) < 0) return false;
    const bytes = this.takeInput(IN_SIZE - level);
    bytes.forEach((b, i) => mem.write8(RING_GPA + (prod + i & IN_SIZE - 1), b));
    mem.write32(RING_GPA + IN_PROD, prod + bytes.length >>> 0);
    return true;
  }
}
