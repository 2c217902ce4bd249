/**
 * xenstored: requests of the guest against the tree, transactions, watches.
 *
 * Source: Xen 4.17 docs/misc/xenstore.txt, io/xs_wire.h.
 *
 * @module
 */
import type { Json } from "../bus.ts";
import { GUEST_DOMID } from "./abi.ts";
import { isPath, parentOf, parsePerm, resolvePath, StoreError, StoreTree } from "./store_tree.ts";

/** Message types (xs_wire.h). */
export const XsType = {
  CONTROL: 0,
  DIRECTORY: 1,
  READ: 2,
  GET_PERMS: 3,
  WATCH: 4,
  UNWATCH: 5,
  TRANSACTION_START: 6,
  TRANSACTION_END: 7,
  INTRODUCE: 8,
  RELEASE: 9,
  GET_DOMAIN_PATH: 10,
  WRITE: 11,
  MKDIR: 12,
  RM: 13,
  SET_PERMS: 14,
  WATCH_EVENT: 15,
  ERROR: 16,
  IS_DOMAIN_INTRODUCED: 17,
  RESUME: 18,
  SET_TARGET: 19,
  RESET_WATCHES: 21,
  DIRECTORY_PART: 22,
} as const;

/** Longest payload of a message. */
export const PAYLOAD_MAX = 4096;
/** Watches and transactions a domain may have. */
const QUOTA_WATCHES = 128, QUOTA_TRANSACTIONS = 10;
/** Nodes that one transaction may touch. */
const QUOTA_TRANSACTION_NODES = 1024;
/** Bytes of messages that may wait for the guest; watch events beyond are dropped. */
const QUEUE_LIMIT = 2 * 1024 * 1024;
const PRIVILEGED_TYPES: readonly number[] = [
  XsType.CONTROL,
  XsType.INTRODUCE,
  XsType.RELEASE,
  XsType.IS_DOMAIN_INTRODUCED,
  XsType.RESUME,
  XsType.SET_TARGET,
];

/** One message without its ring. */
export interface XsMessage {
  type: number;
  reqId: number;
  txId: number;
  payload: Uint8Array;
}

interface Watch {
  path: string;
  token: string;
  /** The path was given relative to the domain's home, and events are too. */
  relative: boolean;
}

interface Transaction {
  tree: StoreTree;
  /** Generation of every node looked at or changed, as it was when the transaction began; 0: it was not there. */
  touched: Map<string, number>;
  /** Paths changed, and those whose watchers are told at the end (true: only watchers of that very path). */
  changed: Set<string>;
  events: Map<string, boolean>;
}

const ascii = new TextDecoder("latin1");
const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (ch) => ch.charCodeAt(0));

/** The daemon, with the guest as its one client. */
export class Store {
  tree = new StoreTree();
  /** Messages for the guest, oldest first. */
  readonly out: XsMessage[] = [];
  #watches: Watch[] = [];
  readonly #transactions = new Map<number, Transaction>();
  #nextTransaction = 1;
  /** Changes made by the request in hand, to be told to watchers after its reply. */
  #pending: [string, boolean][] = [];
  /** Bytes in `out`. */
  #queued = 0;

  /** A write by the tools: watchers are told. */
  toolsWrite(path: string, value: string): void {
    if (!isPath(path)) throw new RangeError(`Cannot write to xenstore: "${path}" is not a path`);
    this.tree.write(path, bytesOf(value), 0);
    this.#fire(path, false);
  }

  /** Handles one request of the guest; the reply and any watch events are appended to `out`. */
  request(m: XsMessage): void {
    try {
      const reply = this.#dispatch(m);
      this.#reply(m, m.type, reply);
    } catch (e) {
      if (!(e instanceof StoreError)) throw e;
      this.#reply(m, XsType.ERROR, bytesOf(`${e.code}\0`));
      return;
    }
    if (m.type === XsType.WATCH) this.#event(this.#watches[this.#watches.length - 1], null);
    else this.#flushEvents();
  }

  #flushEvents(): void {
    const events = this.#pending;
    this.#pending = [];
    for (const [path, exact] of events) this.#fire(path, exact);
  }

  #dispatch(m: XsMessage): Uint8Array {
    if (PRIVILEGED_TYPES.includes(m.type)) throw new StoreError("EACCES");
    switch (m.type) {
      case XsType.DIRECTORY:
        return this.#directory(m);
      case XsType.DIRECTORY_PART:
        return this.#directoryPart(m);
      case XsType.READ:
        return this.#look(m, this.#one(m)).value;
      case XsType.GET_PERMS:
        return bytesOf(this.#look(m, this.#one(m)).perms.map((p) => `${p.access}${p.domid}\0`).join(""));
      case XsType.WATCH:
        return this.#watch(m);
      case XsType.UNWATCH:
        return this.#unwatch(m);
      case XsType.TRANSACTION_START:
        return this.#start(m);
      case XsType.TRANSACTION_END:
        return this.#end(m);
      case XsType.GET_DOMAIN_PATH:
        return this.#domainPath(m);
      case XsType.WRITE:
      case XsType.MKDIR:
      case XsType.RM:
      case XsType.SET_PERMS:
        return this.#change(m);
      case XsType.RESET_WATCHES:
        this.#watches = [];
        this.#transactions.clear();
        return bytesOf("OK\0");
      default:
        throw new StoreError("ENOSYS");
    }
  }

  #transaction(m: XsMessage): Transaction | null {
    if (m.txId === 0) return null;
    const t = this.#transactions.get(m.txId);
    if (t === undefined) throw new StoreError("ENOENT");
    return t;
  }

  /** Reads a node in the request's transaction. */
  #look(m: XsMessage, name: string) {
    const path = resolvePath(name, GUEST_DOMID), t = this.#transaction(m);
    if (t) this.#touch(t, path);
    return (t?.tree ?? this.tree).read(path, GUEST_DOMID);
  }

  #touch(t: Transaction, path: string): void {
    if (t.touched.has(path)) return;
    if (t.touched.size >= QUOTA_TRANSACTION_NODES) throw new StoreError("ENOSPC");
    t.touched.set(path, t.tree.nodes.get(path)?.generation ?? 0);
  }

  #directory(m: XsMessage): Uint8Array {
    const bytes = bytesOf(this.#look(m, this.#one(m)).children.map((name) => `${name}\0`).join(""));
    if (bytes.length > PAYLOAD_MAX) throw new StoreError("E2BIG");
    return bytes;
  }

  #directoryPart(m: XsMessage): Uint8Array {
    const parts = this.#strings(m, 2);
    if (!/^[0-9]{1,9}$/.test(parts[1])) throw new StoreError("EINVAL");
    const node = this.#look(m, parts[0]), from = Number(parts[1]);
    const all = node.children.map((name) => `${name}\0`).join("");
    if (from > all.length) throw new StoreError("EINVAL");
    const head = `${node.generation}\0`;
    let text = all.slice(from);
    if (head.length + text.length + 1 <= PAYLOAD_MAX) text += "\0";
    else text = text.slice(0, text.lastIndexOf("\0", PAYLOAD_MAX - head.length - 1) + 1);
    return bytesOf(head + text);
  }

  #watch(m: XsMessage): Uint8Array {
    const [name, token] = this.#strings(m, 2), relative = !name.startsWith("/") && !name.startsWith("@");
    const path = name.startsWith("@") ? name : resolvePath(name, GUEST_DOMID);
    if (path.startsWith("@") && path !== "@introduceDomain" && path !== "@releaseDomain") {
      throw new StoreError("EINVAL");
    }
    if (this.#watches.some((w) => w.path === path && w.token === token)) throw new StoreError("EEXIST");
    if (this.#watches.length >= QUOTA_WATCHES) throw new StoreError("E2BIG");
    this.#watches.push({ path, token, relative });
    return bytesOf("OK\0");
  }

  #unwatch(m: XsMessage): Uint8Array {
    const [name, token] = this.#strings(m, 2);
    const path = name.startsWith("@") ? name : resolvePath(name, GUEST_DOMID);
    const i = this.#watches.findIndex((w) => w.path === path && w.token === token);
    if (i < 0) throw new StoreError("ENOENT");
    this.#watches.splice(i, 1);
    return bytesOf("OK\0");
  }

  #start(m: XsMessage): Uint8Array {
    if (m.txId !== 0) throw new StoreError("EBUSY");
    if (this.#transactions.size >= QUOTA_TRANSACTIONS) throw new StoreError("ENOSPC");
    const id = this.#nextTransaction++;
    const empty = { touched: new Map<string, number>(), changed: new Set<string>() };
    this.#transactions.set(id, { tree: this.tree.clone(), ...empty, events: new Map() });
    return bytesOf(`${id}\0`);
  }

  #end(m: XsMessage): Uint8Array {
    const how = this.#one(m);
    if (how !== "T" && how !== "F") throw new StoreError("EINVAL");
    const t = this.#transaction(m);
    if (t === null) throw new StoreError("ENOENT");
    this.#transactions.delete(m.txId);
    if (how === "T") {
      for (const [path, generation] of t.touched) {
        if ((this.tree.nodes.get(path)?.generation ?? 0) !== generation) throw new StoreError("EAGAIN");
      }
      for (const path of t.changed) this.tree.adopt(path, t.tree);
      this.#pending.push(...t.events);
    }
    return bytesOf("OK\0");
  }

  #domainPath(m: XsMessage): Uint8Array {
    const domid = this.#one(m);
    if (!/^[0-9]{1,5}$/.test(domid)) throw new StoreError("EINVAL");
    return bytesOf(`/local/domain/${Number(domid)}\0`);
  }

  /** WRITE, MKDIR, RM, SET_PERMS: in a transaction's view, or at once with its watch events. */
  #change(m: XsMessage): Uint8Array {
    const end = m.payload.indexOf(0);
    if (end < 0) throw new StoreError("EINVAL");
    const name = m.type === XsType.MKDIR || m.type === XsType.RM
      ? this.#one(m)
      : ascii.decode(m.payload.subarray(0, end));
    const path = resolvePath(name, GUEST_DOMID), t = this.#transaction(m);
    // The nodes that can change: the path, everything below it, and the ancestors up to the first that exists.
    const near: string[] = [path];
    for (let p = path; p !== "/" && (p === path || !this.#has(t, p));) near.push(p = parentOf(p));
    if (t) { for (const p of near) this.#touch(t, p); }
    const events = this.#apply(m, t?.tree ?? this.tree, path, m.payload.subarray(end + 1));
    if (t) {
      for (const p of near) t.changed.add(p);
      for (const [p, exact] of events) {
        t.changed.add(p);
        t.events.set(p, exact && (t.events.get(p) ?? true));
      }
    } else this.#pending.push(...events);
    return bytesOf("OK\0");
  }

  #has(t: Transaction | null, path: string): boolean {
    return path === "/" || (t?.tree ?? this.tree).nodes.has(path);
  }

  #apply(m: XsMessage, tree: StoreTree, path: string, rest: Uint8Array): [string, boolean][] {
    switch (m.type) {
      case XsType.WRITE:
        tree.write(path, rest.slice(), GUEST_DOMID);
        return [[path, false]];
      case XsType.MKDIR:
        return tree.mkdir(path, GUEST_DOMID) ? [[path, false]] : [];
      case XsType.RM:
        return tree.remove(path, GUEST_DOMID).map((p, i) => [p, i > 0]);
      default: {
        const perms = ascii.decode(rest).split("\0");
        if (perms.pop() !== "" || perms.length === 0) throw new StoreError("EINVAL");
        tree.setPerms(path, perms.map(parsePerm), GUEST_DOMID);
        return [[path, false]];
      }
    }
  }

  /** The payload as exactly one string with its terminator. */
  #one(m: XsMessage): string {
    return this.#strings(m, 1)[0];
  }

  /** The payload as strings with terminators, at least `count` of them. */
  #strings(m: XsMessage, count: number): string[] {
    const parts = ascii.decode(m.payload).split("\0");
    if (parts.pop() !== "" || parts.length < count || (count === 1 && parts.length !== 1)) {
      throw new StoreError("EINVAL");
    }
    return parts;
  }

  #reply(m: XsMessage, type: number, payload: Uint8Array): void {
    this.#queue({ type, reqId: m.reqId, txId: m.txId, payload });
  }

  /** Takes the oldest message for the guest. */
  next(): XsMessage | undefined {
    const m = this.out.shift();
    if (m !== undefined) this.#queued -= m.payload.length;
    return m;
  }

  #queue(m: XsMessage): void {
    if (m.type === XsType.WATCH_EVENT && this.#queued + m.payload.length > QUEUE_LIMIT) return;
    this.#queued += m.payload.length;
    this.out.push(m);
  }

  /** Tells watchers of a changed path; `exact`: only those of that very path. */
  #fire(path: string, exact: boolean): void {
    if (!this.tree.visible(path, GUEST_DOMID)) return;
    for (const w of this.#watches) {
      const below = !exact && (w.path === "/" || path.startsWith(`${w.path}/`));
      if (path === w.path || below) this.#event(w, path);
    }
  }

  /** One watch event; `path` null: the watch itself was just set. */
  #event(w: Watch, path: string | null): void {
    const home = `/local/domain/${GUEST_DOMID}/`;
    let name = path ?? w.path;
    if (w.relative && name.startsWith(home)) name = name.slice(home.length);
    const payload = bytesOf(`${name}\0${w.token}\0`);
    this.#queue({ type: XsType.WATCH_EVENT, reqId: 0, txId: 0, payload });
  }

  save(): Json {
    return {
      tree: this.tree.save(),
      out: this.out.map((m) => ({ ...m, payload: m.payload.toHex() })),
      watches: this.#watches.map((w) => ({ ...w })),
      nextTransaction: this.#nextTransaction,
      transactions: [...this.#transactions].map(([id, t]) => ({
        id,
        tree: t.tree.save(),
        touched: [...t.touched],
        changed: [...t.changed],
        events: [...t.events],
      })) as Json,
    };
  }

  load(state: Json): void {
    const s = state as unknown as SavedStore;
    this.tree = StoreTree.load(s.tree);
    this.out.length = 0;
    this.#queued = 0;
    for (const m of s.out) this.#queue({ ...m, payload: Uint8Array.fromHex(m.payload) });
    this.#watches = s.watches.map((w) => ({ ...w }));
    this.#nextTransaction = s.nextTransaction;
    this.#transactions.clear();
    for (const t of s.transactions) {
      this.#transactions.set(t.id, {
        tree: StoreTree.load(t.tree),
        touched: new Map(t.touched),
        changed: new Set(t.changed),
        events: new Map(t.events),
      });
    }
  }
}

interface SavedStore {
  tree: Json;
  out: { type: number; reqId: number; txId: number; payload: string }[];
  watches: Watch[];
  nextTransaction: number;
  transactions: {
    id: number;
    tree: Json;
    touched: [string, number][];
    changed: string[];
    events: [string, boolean][];
  }[];
}
