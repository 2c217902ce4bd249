/**
 * Writes a recording: `NAME.trace/` with its manifest, its tables and their seals.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { GuestImage, MachineConfig } from "../core/config.ts";
import {
  type Closing,
  encodeManifest,
  type Manifest,
  MANIFEST_FILE,
  newManifest,
  type TableEntry,
} from "./manifest.ts";
import { TABLES } from "./schema.ts";
import { SealWriter } from "./seals.ts";
import type { Store } from "./store.ts";
import { type Block, TableWriter } from "./writer.ts";

/** File name of a table. */
export function tableFile(table: string): string {
  return `${table}.arrows`;
}

/** Bytes of an image in one row of `images`. */
const IMAGE_CHUNK_BYTES = 1024 * 1024;

/** What a caller may choose about a bundle. */
export interface BundleOptions {
  /** Rows of a full batch, for all tables that are not bounded lower (pages, checkpoints, images). */
  batchRows?: number;
  /** CPUID specification for the manifest. */
  cpuid?: unknown;
  /** Label for the manifest. */
  label?: string;
}

/** One recording being written. */
export class BundleWriter {
  readonly #tables = new Map<string, TableWriter>();
  readonly #entries: Record<string, TableEntry> = {};
  readonly #seals: SealWriter;
  readonly manifest: Manifest;
  #committed = -1;

  /**
   * Writes the manifest, the images and a first commit.
   * @throws StorageError when the place is full or cannot be written
   */
  constructor(
    readonly store: Store,
    config: MachineConfig,
    images: readonly GuestImage[],
    options: BundleOptions = {},
  ) {
    const entries = images.map((i) => ({
      role: i.role,
      name: i.name,
      bytes: i.bytes.length,
      sha256: createHash("sha256").update(i.bytes).digest("hex"),
    }));
    this.manifest = newManifest(config, entries, options.cpuid ?? null, options.label);
    store.replace(MANIFEST_FILE, encodeManifest(this.manifest));
    this.#seals = new SealWriter(store.create(tableFile("seals")));
    for (const spec of TABLES) {
      this.#entries[spec.name] = { bytes: 0, blocks: 0, rows: 0 };
      const rows = spec.defaultRows < 8192
        ? Math.min(spec.defaultRows, options.batchRows ?? spec.defaultRows)
        : options.batchRows ?? spec.defaultRows;
      const sink = store.create(tableFile(spec.name));
      this.#tables.set(spec.name, new TableWriter(spec, sink, (b) => this.#onBlock(b), rows));
    }
    this.#writeImages(images);
    this.commit(0);
  }

  #onBlock(b: Block): void {
    const e = this.#entries[b.table];
    e.bytes += b.bytes;
    if (b.kind === "batch") e.rows += b.rows;
    e.blocks++;
    this.#seals.seal(b);
  }

  /** Writer of a table. @throws RangeError when there is no such table */
  table(name: string): TableWriter {
    const t = this.#tables.get(name);
    if (t === undefined) throw new RangeError(`Cannot write table ${name}: a recording has no such table`);
    return t;
  }

  /** True when there are rows that no batch has yet. */
  get waiting(): boolean {
    return this.#tables.values().some((t) => t.row !== 0);
  }

  /**
   * Writes all rows that wait and says that every table is complete up to `icount`: a recording cut later opens up to
   * here. @throws StorageError
   */
  commit(icount: number): void {
    if (icount === this.#committed && !this.waiting) return;
    this.#committed = icount;
    for (const t of this.#tables.values()) {
      t.icount = icount;
      t.flush();
    }
    this.#seals.commit(icount);
  }

  /** Ends all tables and writes the closing record. @throws StorageError */
  close(closing: Omit<Closing, "tables" | "seals">): void {
    for (const t of this.#tables.values()) {
      t.icount = closing.icount;
      t.close();
    }
    this.#seals.commit(closing.icount);
    this.#seals.close();
    const seals = { bytes: this.#seals.bytes, crc32c: this.#seals.crc32c };
    this.manifest.closing = { ...closing, tables: this.#entries, seals };
    this.store.replace(MANIFEST_FILE, encodeManifest(this.manifest));
  }

  /** Closes the files and leaves the recording as one that was cut. */
  abandon(): void {
    for (const t of this.#tables.values()) t.abandon();
    this.#seals.sink.close();
  }

  #writeImages(images: readonly GuestImage[]): void {
    const t = this.table("images");
    const role = t.variable("role"), name = t.variable("name"), bytes = t.variable("bytes");
    const sha256 = t.fixed("sha256"), offset = t.fixed("offset");
    images.forEach((image, i) => {
      const digest = Uint8Array.from(
        this.manifest.images[i].sha256.match(/../g) ?? [],
        (h) => parseInt(h, 16),
      );
      for (let at = 0; at === 0 || at < image.bytes.length; at += IMAGE_CHUNK_BYTES) {
        role.setText(t.row, image.role);
        name.setText(t.row, image.name);
        sha256.setBytes(t.row, digest);
        offset.setNumber(t.row, at);
        bytes.set(t.row, image.bytes.subarray(at, at + IMAGE_CHUNK_BYTES));
        t.endRow();
      }
    });
  }
}
