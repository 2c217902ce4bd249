/**
 * The tree that xenstore keeps: paths, values, permissions, generations.
 *
 * Source: Xen 4.17 docs/misc/xenstore.txt.
 *
 * @module
 */
import type { Json } from "../bus.ts";

/** Names of the errors that xenstore's protocol knows and this one uses. */
export type StoreErrorName =
  | "EINVAL"
  | "EACCES"
  | "EEXIST"
  | "ENOENT"
  | "ENOSPC"
  | "ENOSYS"
  | "EBUSY"
  | "EAGAIN"
  | "E2BIG"
  | "EPERM";

/** A request that fails; never leaves the store. */
export class StoreError extends Error {
  constructor(readonly code: StoreErrorName) {
    super(code);
  }
}

/** Access of one domain: "n" none, "r" read, "w" write, "b" both. The first entry's domain owns the node. */
export interface Perm {
  domid: number;
  access: "n" | "r" | "w" | "b";
}

/** One node; never changed, only replaced. */
export interface StoreNode {
  readonly value: Uint8Array;
  readonly perms: readonly Perm[];
  /** Names, in order of creation. */
  readonly children: readonly string[];
  /** Grows with every change in the store. */
  readonly generation: number;
}

/** What an unprivileged domain may have: nodes, bytes in a node, entries in a permission list. */
const QUOTA_NODES = 1000, QUOTA_NODE_BYTES = 2048, QUOTA_PERMS = 5;
/** Longest absolute and relative path. */
const ABSOLUTE_MAX = 3072, RELATIVE_MAX = 2048;
const PRIVILEGED = 0;

/** Path of the directory that holds a path. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash <= 0 ? "/" : path.slice(0, slash);
}

/** True for well-formed absolute paths. */
export function isPath(path: string): boolean {
  if (path === "/") return true;
  if (path.length > ABSOLUTE_MAX || !/^[-/_@A-Za-z0-9]+$/.test(path)) return false;
  return path.startsWith("/") && !path.endsWith("/") && !path.includes("//");
}

/** A path as a domain gives it: relative ones start at its home. Throws `StoreError`. */
export function resolvePath(path: string, domid: number): string {
  const full = path.startsWith("/") ? path : `/local/domain/${domid}/${path}`;
  if (path === "" || (!path.startsWith("/") && path.length > RELATIVE_MAX) || !isPath(full)) {
    throw new StoreError("EINVAL");
  }
  return full;
}

/** A store, or a transaction's view of one. */
export class StoreTree {
  readonly nodes: Map<string, StoreNode>;
  #generation: number;

  constructor(nodes?: Map<string, StoreNode>, generation = 0) {
    const root: StoreNode = {
      value: new Uint8Array(0),
      perms: [{ domid: 0, access: "r" }],
      children: [],
      generation: 0,
    };
    this.nodes = nodes ?? new Map([["/", root]]);
    this.#generation = generation;
  }

  /** A view that changes apart from this one. */
  clone(): StoreTree {
    return new StoreTree(new Map(this.nodes), this.#generation);
  }

  /** A node for reading. Throws `StoreError`. */
  read(path: string, domid: number): StoreNode {
    return this.#get(path, domid, "r");
  }

  /** True when a domain may know of (changes to) a path. */
  visible(path: string, domid: number): boolean {
    return this.#allows(this.#nearest(path), domid, "r");
  }

  /** Sets a value; creates the node and its parents. @returns false when nothing had to be created */
  write(path: string, value: Uint8Array, domid: number): boolean {
    const created = !this.#writable(path, domid);
    if (created) this.#create(path, value, domid);
    else this.#put(path, { ...this.nodes.get(path)!, value }, domid);
    return created;
  }

  /** Makes a node when there is none. @returns true when it was created */
  mkdir(path: string, domid: number): boolean {
    if (this.#writable(path, domid)) return false;
    this.#create(path, new Uint8Array(0), domid);
    return true;
  }

  /** Removes a node with everything below. @returns the paths removed, parents first */
  remove(path: string, domid: number): string[] {
    if (path === "/") throw new StoreError("EINVAL");
    if (!this.#writable(path, domid)) {
      this.#get(parentOf(path), domid, "w");
      return [];
    }
    const gone = [path];
    for (let i = 0; i < gone.length; i++) {
      for (const child of this.nodes.get(gone[i])!.children) gone.push(`${gone[i]}/${child}`);
    }
    for (const p of gone) this.nodes.delete(p);
    const parent = this.nodes.get(parentOf(path))!, name = path.slice(path.lastIndexOf("/") + 1);
    this.#put(parentOf(path), { ...parent, children: parent.children.filter((c) => c !== name) }, PRIVILEGED);
    return gone;
  }

  /** Replaces the permissions of a node that the domain owns. */
  setPerms(path: string, perms: Perm[], domid: number): void {
    const node = this.#get(path, domid, "w");
    if (domid !== PRIVILEGED) {
      if (perms.length > QUOTA_PERMS) throw new StoreError("ENOSPC");
      if (node.perms[0].domid !== domid) throw new StoreError("EACCES");
      if (perms[0].domid !== domid) throw new StoreError("EPERM");
    }
    this.#put(path, { ...node, perms }, domid);
  }

  /** Takes a path over as another view has it (absent there: removed here). */
  adopt(path: string, from: StoreTree): void {
    const node = from.nodes.get(path);
    if (node === undefined) this.nodes.delete(path);
    else this.nodes.set(path, { ...node, generation: ++this.#generation });
  }

  save(): Json {
    const nodes: Json[] = [];
    for (const path of [...this.nodes.keys()].sort()) {
      const n = this.nodes.get(path)!;
      const perms = n.perms.map((p) => `${p.access}${p.domid}`);
      nodes.push([path, n.value.toHex(), perms, [...n.children], n.generation]);
    }
    return { generation: this.#generation, nodes };
  }

  static load(state: Json): StoreTree {
    const s = state as unknown as {
      generation: number;
      nodes: [string, string, string[], string[], number][];
    };
    const nodes = new Map<string, StoreNode>();
    for (const [path, value, perms, children, generation] of s.nodes) {
      nodes.set(path, {
        value: Uint8Array.fromHex(value),
        perms: perms.map((text) => parsePerm(text)),
        children,
        generation,
      });
    }
    return new StoreTree(nodes, s.generation);
  }

  #nearest(path: string): StoreNode {
    for (let p = path;; p = parentOf(p)) {
      const node = this.nodes.get(p);
      if (node !== undefined) return node;
    }
  }

  #allows(node: StoreNode, domid: number, want: "r" | "w"): boolean {
    if (domid === PRIVILEGED || node.perms[0].domid === domid) return true;
    const listed = node.perms.slice(1).find((p) => p.domid === domid) ?? node.perms[0];
    return listed.access === "b" || listed.access === want;
  }

  #get(path: string, domid: number, want: "r" | "w"): StoreNode {
    if (!this.#allows(this.#nearest(path), domid, want)) throw new StoreError("EACCES");
    const node = this.nodes.get(path);
    if (node === undefined) throw new StoreError("ENOENT");
    return node;
  }

  /** True when the node is there and may be written, false when it may be created. Throws otherwise. */
  #writable(path: string, domid: number): boolean {
    if (!this.#allows(this.#nearest(path), domid, "w")) throw new StoreError("EACCES");
    return this.nodes.has(path);
  }

  #create(path: string, value: Uint8Array, domid: number): void {
    const missing: string[] = [];
    for (let p = path; !this.nodes.has(p); p = parentOf(p)) missing.unshift(p);
    if (domid !== PRIVILEGED && this.#owned(domid) + missing.length > QUOTA_NODES) {
      throw new StoreError("ENOSPC");
    }
    for (const p of missing) {
      const parent = this.nodes.get(parentOf(p))!, perms = parent.perms.map((q) => ({ ...q }));
      if (domid !== PRIVILEGED) perms[0].domid = domid;
      const node = { value: p === path ? value : new Uint8Array(0), perms, children: [], generation: 0 };
      if (domid !== PRIVILEGED && size(node) >= QUOTA_NODE_BYTES) throw new StoreError("ENOSPC");
      const name = p.slice(p.lastIndexOf("/") + 1);
      this.#put(parentOf(p), { ...parent, children: [...parent.children, name] }, domid);
      this.#put(p, node, domid);
    }
  }

  #put(path: string, node: StoreNode, domid: number): void {
    if (domid !== PRIVILEGED && size(node) >= QUOTA_NODE_BYTES) throw new StoreError("ENOSPC");
    this.nodes.set(path, { ...node, generation: ++this.#generation });
  }

  #owned(domid: number): number {
    let count = 0;
    for (const n of this.nodes.values()) if (n.perms[0].domid === domid) count++;
    return count;
  }
}

/** Bytes that a node takes, as quotas count. */
function size(node: StoreNode): number {
  const children = node.children.reduce((sum, name) => sum + name.length + 1, 0);
  return 24 + node.perms.length * 8 + node.value.length + children;
}

/** Parses "r1" and the like. Throws `StoreError`. */
export function parsePerm(text: string): Perm {
  const m = /^([nrwb])([0-9]{1,5})$/.exec(text);
  if (m === null || Number(m[2]) > 0xffff) throw new StoreError("EINVAL");
  return { access: m[1] as Perm["access"], domid: Number(m[2]) };
}
