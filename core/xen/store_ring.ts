/**
 * The xenstore ring, and what the tools put into the store when they build the domain.
 *
 * Source: Xen 4.17 io/xs_wire.h; the nodes are those xl makes for a PVH domain.
 *
 * @module
 */
import type { Json } from "../bus.ts";
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

/** Moves messages between the guest's ring and the store. */
export class StoreRing {
  readonly store = new Store();
  readonly port: number;
  /** Bytes of a request that has not arrived whole, and of replies that did not fit the ring yet. */
  #partial: Uint8Array = new Uint8Array(0);
  #unsent: Uint8Array = new Uint8Array(0);
  /** The guest broke the protocol: the daemon ignores it from then on. */
  #ignored = false;

  constructor(readonly host: XenHost, readonly events: EventChannels) {
    this.port = events.connectBackend(BACKEND_PORT, () => this.service());
    buildDomain(this.store.tree, host.config);
  }

  /** A write by the tools, for instance control/shutdown under /local/domain/1; the guest's watches fire. */
  toolsWrite(path: string, value: string): void {
    this.store.toolsWrite(path, value);
    this.service();
  }

  /** The daemon looks at the ring. Each round takes or gives at least a byte, and the guest does not run meanwhile. */
  service(): void {
    if (this.#ignored || this.host.mem.host(RING_GPA) < 0) return;
    let moved = false;
    for (let rounds = 0; rounds < 2 * RING; rounds++) {
      const sent = this.#send();
      const taken = !this.#ignored && this.#unsent.length === 0 && this.store.out.length === 0 &&
        this.#take();
      if (!sent && !taken) break;
      moved = true;
    }
    if (moved) this.events.notifyGuest(this.port, BACKEND_PORT);
  }

  save(): Json {
    return {
      store: this.store.save(),
      partialLength: this.#partial.length,
      partial: hex(this.#partial),
      unsentLength: this.#unsent.length,
      unsent: hex(this.#unsent),
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
      ignored: boolean;
    };
    this.store.load(s.store);
    this.#partial = unhex(s.partial, s.partialLength);
    this.#unsent = unhex(s.unsent, s.unsentLength);
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

  /** Puts as much of the replies into the ring as fits. */
  #send(): boolean {
    const mem = this.host.mem, cons = mem.read32(RING_GPA + RSP_CONS), prod = mem.read32(RING_GPA + RSP_PROD);
    const level = prod - cons >>> 0;
    if (level > RING) return this.#ignore();
    if (this.#unsent.length === 0) {
      const next = this.store.next();
      if (next === undefined) return false;
      this.#unsent = encode(next);
    }
    const n = Math.min(RING - level, this.#unsent.length);
    if (n === 0) return false;
    for (let i = 0; i < n; i++) mem.write8(RING_GPA + RSP + (prod + i & RING - 1), this.#unsent[i]);
    mem.write32(RING_GPA + RSP_PROD, prod + n >>> 0);
    this.#unsent = this.#unsent.slice(n);
    return true;
  }
}

function decode(bytes: Uint8Array): XsMessage {
  const v = new DataView(bytes.buffer);
  const [type, reqId, txId] = [0, 4, 8].map((o) => v.getUint32(o, true));
  return { type, reqId, txId, payload: bytes.slice(HEADER) };
}

function encode(m: XsMessage): Uint8Array {
  const bytes = new Uint8Array(HEADER + m.payload.length), v = new DataView(bytes.buffer);
  [m.type, m.reqId, m.txId, m.payload.length].forEach((word, i) => v.setUint32(i * 4, word, true));
  bytes.set(m.payload, HEADER);
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
