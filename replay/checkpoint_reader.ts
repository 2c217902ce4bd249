/**
 * Reads checkpoints and puts machines back into them.
 *
 * @module
 */
import type { Machine } from "../core/api.ts";
import { PAGE_SIZE } from "../core/mmu/physmem.ts";
import type { Bundle } from "../traces/bundle.ts";
import { RowCursor } from "../traces/cursor.ts";
import { TraceError } from "../traces/errors.ts";
import { COUNTED_TABLES } from "./checkpoint_writer.ts";
import { PageKindCode, type StateHasher, ZERO_PAGE_HASH } from "./state_hash.ts";

/** A checkpoint without its state and pages. */
export interface Checkpoint {
  /** Row of the table. */
  row: number;
  icount: number;
  timeNs: number;
  /** Rows of each table that precede it. */
  counts: Record<typeof COUNTED_TABLES[number], number>;
  hash: Uint8Array;
}

/** Guest pages below 4 GiB. */
const GUEST_PAGES = 1 << 20;

/** All checkpoints in order. @throws TraceError when they are not in order */
export function listCheckpoints(bundle: Bundle): Checkpoint[] {
  const out: Checkpoint[] = [];
  for (const b of bundle.table("checkpoints").batches()) {
    for (let row = 0; row < b.rows; row++) {
      const counts = Object.fromEntries(
        COUNTED_TABLES.map((t) => [t, b.number(t, row)]),
      ) as Checkpoint["counts"];
      const c = {
        row: out.length,
        icount: b.number("icount", row),
        timeNs: b.number("time_ns", row),
        counts,
        hash: b.bytes("hash", row).slice(),
      };
      if (c.icount < (out.at(-1)?.icount ?? 0)) {
        throw new TraceError("The checkpoints are not in order", b.where);
      }
      out.push(c);
    }
  }
  return out;
}

/** Guest memory at a checkpoint: page id and kind by guest page. */
interface MemoryMap {
  ids: Uint32Array;
  kinds: Uint8Array;
}

/** Adds up the changes of all checkpoints up to one. @returns the map and that checkpoint's state */
function memoryAt(bundle: Bundle, row: number): { map: MemoryMap; state: Uint8Array } {
  const map = {
    ids: new Uint32Array(GUEST_PAGES),
    kinds: new Uint8Array(GUEST_PAGES).fill(PageKindCode.unbacked),
  };
  const pages = bundle.table("pages").rows;
  const cursor = new RowCursor(bundle.table("checkpoints"));
  for (;; cursor.advance()) {
    const b = cursor.batch;
    if (b === null) {
      throw new RangeError(`Cannot restore checkpoint ${row}: the recording has ${cursor.index}`);
    }
    const list = b.column("pages"), [gfns, counts, ids, kinds] = list.items;
    for (let i = list.offsets[cursor.row]; i < list.offsets[cursor.row + 1]; i++) {
      const gfn = gfns.u32[i * 2], end = gfn + counts.u32[i];
      const sound = gfns.u32[i * 2 + 1] === 0 && end <= GUEST_PAGES && ids.u32[i] <= pages &&
        kinds.bytes[i] <= PageKindCode.unbacked && (ids.u32[i] === 0 || end === gfn + 1);
      if (!sound) throw new TraceError("A checkpoint's list of pages is damaged", b.where);
      map.ids.fill(ids.u32[i], gfn, end);
      map.kinds.fill(kinds.bytes[i], gfn, end);
    }
    if (cursor.index === row) return { map, state: b.bytes("state", cursor.row).slice() };
  }
}

/** Gives every page the backing it had. */
function restoreBacking(machine: Machine, kinds: Uint8Array): void {
  const mem = machine.mem;
  for (let gfn = 0; gfn < GUEST_PAGES;) {
    const kind = kinds[gfn];
    if (kind === PageKindCode.unbacked) {
      mem.unmap(gfn++ * PAGE_SIZE);
      continue;
    }
    const first = gfn;
    while (gfn < GUEST_PAGES && kinds[gfn] === kind) gfn++;
    mem.map(first * PAGE_SIZE, (gfn - first) * PAGE_SIZE, kind === PageKindCode.rom ? "rom" : "ram");
  }
}

/** Gives every backed page its contents, reading the stored pages in file order. */
function restoreContents(bundle: Bundle, machine: Machine, map: MemoryMap, hasher: StateHasher): void {
  const zero = new Uint8Array(PAGE_SIZE), mem = machine.mem;
  const stored: number[] = [];
  for (let gfn = 0; gfn < GUEST_PAGES; gfn++) {
    if (map.kinds[gfn] === PageKindCode.unbacked) continue;
    if (map.ids[gfn] !== 0) {
      stored.push(gfn);
      continue;
    }
    if (!hasher.isZero(gfn)) mem.write(gfn * PAGE_SIZE, zero, true);
    hasher.set(gfn, map.kinds[gfn], ZERO_PAGE_HASH);
  }
  stored.sort((a, b) => map.ids[a] - map.ids[b]);
  const cursor = new RowCursor(bundle.table("pages"));
  for (const gfn of stored) {
    if (cursor.index !== map.ids[gfn] - 1) cursor.seek(map.ids[gfn] - 1);
    const b = cursor.batch;
    if (b === null || b.number("id", cursor.row) !== map.ids[gfn]) {
      throw new TraceError(`Page ${map.ids[gfn]} is not where it should be`, {
        table: "pages",
        batch: null,
        offset: null,
      });
    }
    mem.write(gfn * PAGE_SIZE, b.bytes("bytes", cursor.row), true);
    hasher.set(gfn, map.kinds[gfn], b.bytes("hash", cursor.row));
  }
}

/**
 * Puts a machine into a checkpoint.
 * @param hasher is given all page hashes
 * @throws TraceError when the restored machine's hash is not the checkpoint's
 */
export function restoreCheckpoint(
  bundle: Bundle,
  checkpoint: Checkpoint,
  machine: Machine,
  hasher: StateHasher,
): void {
  const { map, state } = memoryAt(bundle, checkpoint.row);
  hasher.clear();
  restoreBacking(machine, map.kinds);
  restoreContents(bundle, machine, map, hasher);
  try {
    machine.loadState(state);
  } catch (e) {
    const why = e instanceof Error ? e.message : String(e);
    const where = { table: "checkpoints", batch: null, offset: null };
    throw new TraceError(`The state of checkpoint ${checkpoint.row} cannot be loaded: ${why}`, where);
  }
  machine.takeDirtyPages();
  const hash = hasher.digest(machine.saveState());
  if (!hash.every((b, i) => b === checkpoint.hash[i])) {
    throw new TraceError(`Checkpoint ${checkpoint.row} does not restore to the state it was taken of`, {
      table: "checkpoints",
      batch: null,
      offset: null,
    });
  }
}
