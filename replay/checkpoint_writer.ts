/**
 * Writes checkpoints: state, and content-addressed pages changed since the checkpoint before.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Machine } from "../core/api.ts";
import { PAGE_SHIFT, PAGE_SIZE } from "../core/mmu/physmem.ts";
import type { BundleWriter } from "../traces/bundle_writer.ts";
import type { FixedColumn, ListColumn } from "../traces/columns.ts";
import { LOADED_PAGE } from "../traces/schema.ts";
import type { TableWriter } from "../traces/writer.ts";
import { StateHasher } from "./state_hash.ts";

/** Tables whose row counts a checkpoint holds; see `checkpoints` in traces/schema.ts. */
export const COUNTED_TABLES = ["exits", "hypercalls", "inputs", "interrupts", "console", "samples"] as const;

/** Writes checkpoints of one machine. */
export class CheckpointWriter {
  readonly #hasher: StateHasher;
  /** Table `pages` and its columns. */
  readonly #pages: { t: TableWriter; ids: FixedColumn; hashes: FixedColumn; bytes: FixedColumn };
  /** Page id by content hash, as a string of 32 characters. */
  readonly #pageIds = new Map<string, number>();
  /** Pages that were hashed for the last checkpoint: changed, and not zero. */
  hashedPages = 0;

  constructor(readonly bundle: BundleWriter, readonly machine: Machine) {
    this.#hasher = new StateHasher(machine.mem);
    const t = bundle.table("pages");
    this.#pages = { t, ids: t.fixed("id"), hashes: t.fixed("hash"), bytes: t.fixed("bytes") };
  }

  /**
   * Writes a checkpoint of the machine as it is.
   * @param fresh the machine is as it was made: its pages follow from the recording's images and are not stored
   * @returns the state hash @throws StorageError
   */
  write(fresh = false): Uint8Array {
    const { bundle, machine } = this;
    const t = bundle.table("checkpoints"), row = t.row, list = t.list("pages");
    const dirty = machine.takeDirtyPages();
    let runEnd = -1, runKind = -1, runId = -1, run = -1;
    this.hashedPages = 0;
    this.#hasher.update(dirty, (gfn, kind, hash, zero) => {
      const id = hash === null || zero ? 0 : fresh ? LOADED_PAGE : this.#page(gfn, hash);
      if (id !== 0) this.hashedPages++;
      // Neighbours that hold nothing, or what was loaded, share an entry.
      if (gfn === runEnd && kind === runKind && id === runId) list.items[1].u32[run]++;
      else run = push(list, gfn, id, kind);
      runEnd = id === 0 || id === LOADED_PAGE ? gfn + 1 : -1;
      runKind = kind;
      runId = id;
    });
    list.end(row);
    const state = machine.saveState(), hash = this.#hasher.digest(state);
    t.fixed("id").setNumber(row, t.rows);
    t.fixed("icount").setNumber(row, machine.icount);
    t.fixed("time_ns").setNumber(row, machine.timeNs);
    for (const name of COUNTED_TABLES) t.fixed(name).setNumber(row, bundle.table(name).rows);
    t.fixed("hash").setBytes(row, hash);
    t.variable("state").set(row, state);
    t.endRow();
    return hash;
  }

  /** Stores a page unless its contents are stored already. @returns its id, from 1 */
  #page(gfn: number, hash: Uint8Array): number {
    const key = Buffer.from(hash.buffer, hash.byteOffset, hash.length).toString("latin1");
    const known = this.#pageIds.get(key);
    if (known !== undefined) return known;
    const { t, ids, hashes, bytes } = this.#pages, id = t.rows + 1;
    ids.setNumber(t.row, id);
    hashes.setBytes(t.row, hash);
    const at = this.machine.mem.hostPage[gfn] << PAGE_SHIFT >>> 0;
    bytes.setBytes(t.row, this.machine.mem.u8.subarray(at, at + PAGE_SIZE));
    t.endRow();
    this.#pageIds.set(key, id);
    return id;
  }
}

function push(list: ListColumn, gfn: number, id: number, kind: number): number {
  const at = list.push(), [gfns, counts, pages, kinds] = list.items;
  gfns.setNumber(at, gfn);
  counts.u32[at] = 1;
  pages.u32[at] = id;
  kinds.bytes[at] = kind;
  return at;
}
