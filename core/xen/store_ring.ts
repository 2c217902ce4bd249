/**
 * The xenstore ring, and what the tools put into the store when they build the domain.
 *
 * Source: Xen 4.17 io/xs_wire.h; the nodes are those xl makes for a PVH domain.
 *
 * @module
 */
import type { Json } from "../bus.ts";
import type { Timer } from "../clock.ts";
import type { MachineConfig } from "../config.ts";
import { BACKEND_DOMID, CONSOLE_GFN, CONSOLE_PORT, GUEST_DOMID, STORE_GFN, STORE_PORT } from "./abi.ts";
import type { EventChannels } from "./events.ts";
import type { XenHost } from "./host.ts";
import { PAYLOAD_MAX, Store, type XsMessage } from "./store.ts";
import type { Perm, StoreTree } from "./store_tree.ts";
import { hex, unhex } from "./xenpage.ts";

const RING = 1024, RSP = 1024;
const REQ_CONS = 2048, REQ_PROD = 2052, RSP_CONS = 2056, RSP_PROD = 2060;
const HEADER = 16;
const RING_GPA = STORE_GFN * 4096;
/** The daemon's end of the event channel. */
const BACKEND_PORT = 20;
/**
 * The daemon lives in another domain: virtual time until it looks after an event, and between its steps (it takes a
 * request, then writes header and payload of the reply; each with an event). Guests see replies come as they do on
 * real Xen: they may have to ask again, and wait. With these values XTF's selftest makes as many calls as there.
 */
export const STORE_WAKE_NS = 500, STORE_STEP_NS = 12;

/** Moves messages between the guest's ring and the store. */
export class StoreRing {
  readonly store = new Store();
  readonly port: number;
  /** Bytes of a request that has not arrived whole. */
  #partial: Uint8Array = new Uint8Array(0);
  /** Rest of the header or payload being sent, and the payload that follows the header. */
  #unsent: Uint8Array = new Uint8Array(0);
  #payload: Uint8Array = new Uint8Array(0);
  /** The guest broke the protocol: the daemon ignores it from then on. */
  #ignored = false;
  readonly #timer: Timer;

  constructor(readonly host: XenHost, readonly events: EventChannels) {
    this.#timer = host.clock.timer("xen-store", () => this.#step());
    this.port = events.connectBackend(BACKEND_PORT, () => this.#wake());
    buildDomain(this.store.tree, host.config);
  }

  /** A write by the tools, for instance control/shutdown under /local/domain/1; the guest's watches fire. */
  toolsWrite(path: string, value: string): void {
    this.store.toolsWrite(path, value);
    if (this.store.out.length > 0) this.#wake();
  }

  #wake(): void {
    const { clock } = this.host;
    if (this.#timer.atNs === Infinity) clock.arm(this.#timer, clock.now() + STORE_WAKE_NS);
  }

  /** One step of the daemon: some of a reply is sent or, when there is none, a request taken. */
  #step(): void {
    const { mem, clock } = this.host;
    if (this.#ignored || mem.host(RING_GPA) < 0) return;
    const sending = this.#unsent.length + this.#payload.length + this.store.out.length > 0;
    if (!(sending ? this.#send() : this.#take())) return;
    this.events.notifyGuest(this.port, BACKEND_PORT);
    const requests = mem.read32(RING_GPA + REQ_PROD) !== mem.read32(RING_GPA + REQ_CONS);
    const more = this.#unsent.length + this.#payload.length + this.store.out.length > 0 || requests;
    if (more) clock.arm(this.#timer, clock.now() + STORE_STEP_NS);
  }

  save(): Json {
    return {
      store: this.store.save(),
      partialLength: this.#partial.length,
      partial: hex(this.#partial),
      unsentLength: this.#unsent.length,
      unsent: hex(this.#unsent),
      payloadLength: this.#payload.length,
      payload: hex(this.#payload),
      ignored: this.#ignored,
    };
  }
  load(state: Json): void {
    const s = state as {
      store: Json;
      partialLength: number;
      partial: string;
      unsentLength: number;
      unsent: string;
      payloadLength: number;
      payload: string;
      ignored: boolean;
    };
    this.store.load(s.store);
    this.#partial = unhex(s.partial, s.partialLength);
    this.#unsent = unhex(s.unsent, s.unsentLength);
    this.#payload = unhex(s.payload, s.payloadLength);
    this.#ignored = s.ignored;
  }

  /** Takes request bytes up to the end of one message; handles the message when it is whole. */
  #take(): boolean {
    const mem = this.host.mem, cons = mem.read32(RING_GPA + REQ_CONS), prod = mem.read32(RING_GPA + REQ_PROD);
    const level = prod - cons >>> 0;
    if (level === 0) return false;
    if (level > RING) return this.#ignore();
    const need = this.#needed(), n = Math.min(level, need - this.#partial.length);
    const joined = new Uint8Array(this.#partial.length + n);
    joined.set(this.#partial);
    for (let i = 0; i < n; i++) {
      joined[this.#partial.length + i] = mem.read8(RING_GPA + (cons + i & RING - 1));
    }
    this.#partial = joined;
    mem.write32(RING_GPA + REQ_CONS, cons + n >>> 0);
    if (joined.length < HEADER) return true;
    const length = new DataView(joined.buffer).getUint32(12, true);
    if (length > PAYLOAD_MAX) return this.#ignore();
    if (joined.length < HEADER + length) return true;
    this.#partial = new Uint8Array(0);
    this.store.request(decode(joined));
    return true;
  }

  /** Length at which the message in hand is whole, as far as that is known. */
  #needed(): number {
    if (this.#partial.length < HEADER) return HEADER;
    return HEADER + new DataView(this.#partial.buffer).getUint32(12, true);
  }

  #ignore(): boolean {
    this.#ignored = true;
    return false;
  }

  /** Puts as much of the header or payload in hand into the ring as fits; false when the ring is full. */
  #send(): boolean {
    const mem = this.host.mem, cons = mem.read32(RING_GPA + RSP_CONS), prod = mem.read32(RING_GPA + RSP_PROD);
    const level = prod - cons >>> 0;
    if (level > RING) return this.#ignore();
    if (level === RING) return false;
    if (this.#unsent.length === 0) this.#next();
    const n = Math.min(RING - level, this.#unsent.length);
    for (let i = 0; i < n; i++) mem.write8(RING_GPA + RSP + (prod + i & RING - 1), this.#unsent[i]);
    mem.write32(RING_GPA + RSP_PROD, prod + n >>> 0);
    this.#unsent = this.#unsent.slice(n);
    return true;
  }

  /** Takes in hand what is to be sent next: the payload after its header, or the next message's header. */
  #next(): void {
    if (this.#payload.length > 0) {
      this.#unsent = this.#payload;
      this.#payload = new Uint8Array(0);
      return;
    }
    const m = this.store.next();
    if (m === undefined) return;
    this.#unsent = header(m);
    this.#payload = m.payload;
  }
}

function decode(bytes: Uint8Array): XsMessage {
  const v = new DataView(bytes.buffer);
  const [type, reqId, txId] = [0, 4, 8].map((o) => v.getUint32(o, true));
  return { type, reqId, txId, payload: bytes.slice(HEADER) };
}

function header(m: XsMessage): Uint8Array {
  const bytes = new Uint8Array(HEADER), v = new DataView(bytes.buffer);
  [m.type, m.reqId, m.txId, m.payload.length].forEach((word, i) => v.setUint32(i * 4, word, true));
  return bytes;
}

const READ_ONLY: Perm[] = [{ domid: BACKEND_DOMID, access: "n" }, { domid: GUEST_DOMID, access: "r" }];
const OWN: Perm[] = [{ domid: GUEST_DOMID, access: "n" }];
/** Most limit of console output that the daemon buffers. */
const CONSOLE_LIMIT = 1048576;

/** Fills the store as xl does for a PVH domain. */
function buildDomain(tree: StoreTree, config: MachineConfig): void {
  const home = `/local/domain/${GUEST_DOMID}`;
  const vm = "/vm/00000000-0000-0000-0000-000000000001", libxl = `/libxl/${GUEST_DOMID}`;
  const put = (path: string, value: string, perms?: Perm[]) => {
    tree.write(path, new TextEncoder().encode(value), BACKEND_DOMID);
    if (perms) tree.setPerms(path, perms, BACKEND_DOMID);
  };
  put("/tool/xenstored", "");
  put("/local/domain/0/name", "Domain-0");
  put("/local/domain/0/domid", "0");
  for (const root of [home, vm]) put(root, "", READ_ONLY);
  put(libxl, "", [{ domid: BACKEND_DOMID, access: "n" }]);
  put(`${vm}/uuid`, vm.slice(4));
  put(`${vm}/name`, config.name);
  put(`${libxl}/type`, "pvh");
  const kib = String(config.memoryBytes / 1024);
  const nodes: Record<string, string> = {
    vm,
    name: config.name,
    "memory/static-max": kib,
    "memory/target": kib,
    "memory/videoram": "0",
    domid: String(GUEST_DOMID),
    "store/port": String(STORE_PORT),
    "store/ring-ref": String(STORE_GFN),
    "console/backend": `/local/domain/0/backend/console/${GUEST_DOMID}/0`,
    "console/backend-id": String(BACKEND_DOMID),
    "console/limit": String(CONSOLE_LIMIT),
    "console/type": "xenconsoled",
    "console/output": "pty",
    "console/tty": "",
    "console/port": String(CONSOLE_PORT),
    "console/ring-ref": String(CONSOLE_GFN),
    "control/platform-feature-multiprocessor-suspend": "1",
    "control/platform-feature-xs_reset_watches": "1",
    device: "",
  };
  for (const [name, value] of Object.entries(nodes)) put(`${home}/${name}`, value);
  for (let i = 0; i < config.vcpus; i++) put(`${home}/cpu/${i}/availability`, "online");
  const own =
    "device/suspend/event-channel control/shutdown control/feature-poweroff control/feature-reboot " +
    "control/feature-suspend control/sysrq data drivers feature attr error";
  for (const name of own.split(" ")) put(`${home}/${name}`, "", OWN);
}
