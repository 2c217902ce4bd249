/**
 * Reads checkpoints: what there are, and memory and state at each.
 *
 * @module
 */
import type { Batch } from "../traces/batch.ts";
import type { Bundle } from "../traces/bundle.ts";
import { RowCursor } from "../traces/cursor.ts";
import { TraceError } from "../traces/errors.ts";
import { LOADED_PAGE } from "../traces/schema.ts";
import { COUNTED_TABLES } from "./checkpoint_writer.ts";
import { type GuestPage, MemoryImage, type StoredPages } from "./memory_image.ts";
import { PageKindCode } from "./state_hash.ts";

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

/** Most images that are kept. */
const IMAGES_MAX = 64;

/** Memory and state at the checkpoints of a recording. */
export class CheckpointReader {
  readonly #images = new Map<number, MemoryImage>();

  constructor(readonly bundle: Bundle, readonly stored: StoredPages) {}

  /** Guest memory at a checkpoint, by its row, and the state there. @throws TraceError */
  read(row: number): { image: MemoryImage; state: Uint8Array } {
    let from = -1;
    for (const known of this.#images.keys()) if (known <= row && known > from) from = known;
    let image = this.#images.get(from) ?? MemoryImage.EMPTY;
    const cursor = new RowCursor(this.bundle.table("checkpoints"));
    cursor.seek(Math.max(0, from));
    for (;; cursor.advance()) {
      const b = cursor.batch;
      if (b === null) {
        throw new RangeError(`Cannot restore checkpoint ${row}: the recording has ${cursor.index}`);
      }
      if (cursor.index > from) image = image.with(this.#changes(b, cursor.row));
      if (cursor.index === row) {
        this.#keep(row, image);
        return { image, state: b.bytes("state", cursor.row).slice() };
      }
    }
  }

  #keep(row: number, image: MemoryImage): void {
    this.#images.delete(row);
    this.#images.set(row, image);
    for (const oldest of this.#images.keys()) {
      if (this.#images.size <= IMAGES_MAX) return;
      this.#images.delete(oldest);
    }
  }

  /** The pages that a checkpoint's row says have changed. */
  *#changes(b: Batch, row: number): Generator<[number, GuestPage | null]> {
    const { stored } = this, pages = this.bundle.table("pages").rows;
    const list = b.column("pages"), [gfns, counts, ids, kinds] = list.items;
    for (let i = list.offsets[row]; i < list.offsets[row + 1]; i++) {
      const gfn = gfns.u32[i * 2], end = gfn + counts.u32[i], id = ids.u32[i], kind = kinds.bytes[i];
      const loaded = id === LOADED_PAGE && this.bundle.manifest.version >= 2, rom = kind === PageKindCode.rom;
      const sound = gfns.u32[i * 2 + 1] === 0 && end <= GUEST_PAGES && (id <= pages || loaded) &&
        kind <= PageKindCode.unbacked && (id === 0 || loaded || end === gfn + 1);
      if (!sound) throw new TraceError("A checkpoint's list of pages is damaged", b.where);
      const page = kind === PageKindCode.unbacked || loaded ? null : stored.page(id, rom);
      for (let n = gfn; n < end; n++) yield [n, loaded ? stored.loadedPage(n, rom) : page];
    }
  }
}
