/**
 * Opens a recording: checks every byte, and finds out how far one that was cut is complete.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { GuestImage } from "../core/config.ts";
import { tableFile } from "./bundle_writer.ts";
import { crc32c } from "./crc32c.ts";
import { TraceError } from "./errors.ts";
import { decodeManifest, type Manifest, MANIFEST_BYTES_MAX, MANIFEST_FILE } from "./manifest.ts";
import { TableFile } from "./table_file.ts";
import { TABLES, type TableSpec } from "./schema.ts";
import { readSeals } from "./seals.ts";
import { DirectoryStore, type Source, type Store } from "./store.ts";
import { type Block, concatenate } from "./writer.ts";

/** Most bytes of seals that are read: some 400,000 blocks. */
const SEALS_BYTES_MAX = 256 * 1024 * 1024;

/** What opening checks. */
export interface OpenOptions {
  /** Check every block now (default). Otherwise each block is checked when it is read. */
  verify?: boolean;
}

/** A recording open for reading. */
export class Bundle {
  readonly #tables: Map<string, TableFile>;
  #images: GuestImage[] | null = null;

  private constructor(
    readonly store: Store,
    readonly manifest: Manifest,
    tables: Map<string, TableFile>,
    /** Instructions up to which every table is complete. */
    readonly icount: number,
    /** True when the recording was cut and ends at its last commit. */
    readonly recovered: boolean,
  ) {
    this.#tables = tables;
  }

  /** One sentence for people when the recording was cut; null otherwise. */
  get notice(): string | null {
    if (!this.recovered) return null;
    return `The recording was cut: it is used up to its last whole batch, at icount ${this.icount} ` +
      `(${this.table("exits").rows} exits).`;
  }

  /**
   * Opens a recording.
   * @param place path of the folder, or a store
   * @throws TraceError when it is damaged, or was cut before there was anything to keep
   */
  static open(place: string | Store, options: OpenOptions = {}): Bundle {
    const store = typeof place === "string" ? new DirectoryStore(place) : place;
    const manifest = readManifest(store);
    const seals = readAll(store, tableFile("seals"), "seals", SEALS_BYTES_MAX);
    const { blocks, wholeBytes } = readSeals(seals);
    const closing = manifest.closing;
    if (closing !== null) {
      const { bytes, crc32c: crc } = closing.seals;
      if (seals.length !== bytes || crc32c(seals) !== crc) {
        const offset = Math.min(wholeBytes, bytes);
        throw new TraceError("The seals are not those of the closing record", {
          table: "seals",
          batch: blocks.length + 1,
          offset,
        });
      }
    }
    const sources = openSources(store, closing !== null);
    try {
      const end = closing === null ? lastCommit(blocks, sources) : blocks.length;
      const commit = lastCommitRow(blocks, end);
      const tables = assemble(blocks.slice(0, end), sources);
      const bundle = new Bundle(store, manifest, tables, commit.icount, closing === null);
      if (closing !== null) bundle.#checkClosing();
      if (options.verify ?? true) bundle.verify();
      return bundle;
    } catch (e) {
      for (const s of sources.values()) s.close();
      throw e;
    }
  }

  /** A table. @throws RangeError for an unknown name */
  table(name: string): TableFile {
    const t = this.#tables.get(name);
    if (t === undefined) throw new RangeError(`Cannot read table ${name}: a recording has no such table`);
    return t;
  }

  /** All tables, in schema order. */
  tables(): TableFile[] {
    return [...this.#tables.values()];
  }

  /** Checks every sealed byte. @throws TraceError naming table, batch and offset */
  verify(): void {
    for (const t of this.#tables.values()) t.verify();
  }

  /**
   * The guest's files, checked against their hashes. Read once: what others know of an image, they know by its bytes.
   * @throws TraceError
   */
  images(): GuestImage[] {
    return (this.#images ??= this.#readImages()).slice();
  }

  #readImages(): GuestImage[] {
    const chunks = this.table("images");
    const images: GuestImage[] = this.manifest.images.map(({ role, name }) => ({
      role,
      name,
      bytes: new Uint8Array(),
    }));
    const parts: Uint8Array[][] = images.map(() => []);
    let image = -1;
    for (let b = 0; b < chunks.batchCount; b++) {
      const batch = chunks.batch(b);
      for (let row = 0; row < batch.rows; row++) {
        if (batch.number("offset", row) === 0) image++;
        parts[image]?.push(batch.bytes("bytes", row));
      }
    }
    images.forEach((i, n) => {
      const hash = createHash("sha256");
      for (const p of parts[n]) hash.update(p);
      if (hash.digest("hex") !== this.manifest.images[n].sha256) {
        throw new TraceError(`Image ${i.name} is not the one the manifest names`, {
          table: "images",
          batch: null,
          offset: null,
        });
      }
      i.bytes = concatenate(parts[n]);
    });
    return images;
  }

  /** Closes the files. */
  close(): void {
    for (const t of this.#tables.values()) t.source.close();
  }

  #checkClosing(): void {
    for (const t of this.#tables.values()) {
      const entry = this.manifest.closing?.tables[t.spec.name];
      const last = t.blocks.at(-1);
      const sound = entry !== undefined && last?.kind === "end" && t.source.size === entry.bytes &&
        last.offset + last.bytes === entry.bytes && t.blocks.length === entry.blocks && t.rows === entry.rows;
      if (!sound) {
        const offset = Math.min(t.source.size, entry?.bytes ?? 0);
        const batch = t.blocks.find((b) => b.offset + b.bytes > offset)?.batch ?? null;
        throw new TraceError("The table is not as long as the closing record says", {
          table: t.spec.name,
          batch,
          offset,
        });
      }
    }
  }
}

function missing(store: Store, file: string, table: string): TraceError {
  return new TraceError(`Cannot find ${file} in ${store.name}`, { table, batch: null, offset: null });
}

function readAll(store: Store, file: string, table: string, most: number): Uint8Array {
  const source = store.open(file);
  if (source === null) throw missing(store, file, table);
  try {
    if (source.size > most) {
      throw new TraceError(`The file ${file} is larger than ${most} bytes`, {
        table,
        batch: null,
        offset: most,
      });
    }
    return source.read(0, source.size);
  } finally {
    source.close();
  }
}

/** Reads only the manifest. @throws TraceError */
export function readManifest(place: string | Store): Manifest {
  const store = typeof place === "string" ? new DirectoryStore(place) : place;
  const manifest = decodeManifest(readAll(store, MANIFEST_FILE, "manifest", MANIFEST_BYTES_MAX));
  for (const t of TABLES) {
    if (!manifest.tables.includes(t.name)) {
      throw new TraceError("The manifest does not list the table", {
        table: t.name,
        batch: null,
        offset: null,
      });
    }
  }
  return manifest;
}

function openSources(store: Store, all: boolean): Map<TableSpec, Source> {
  const sources = new Map<TableSpec, Source>();
  for (const spec of TABLES) {
    const source = store.open(tableFile(spec.name));
    if (source !== null) sources.set(spec, source);
    else if (all) throw missing(store, tableFile(spec.name), spec.name);
  }
  return sources;
}

/** Number of seals up to and including the last commit before which every sealed block is wholly in its file. */
function lastCommit(blocks: readonly Block[], sources: Map<TableSpec, Source>): number {
  const sizes = new Map([...sources].map(([spec, s]) => [spec.name, s.size]));
  let end = 0;
  for (let i = 0; i < blocks.length; i++) {
    const b = blocks[i];
    if (b.kind === "commit") end = i + 1;
    else if (b.offset + b.bytes > (sizes.get(b.table) ?? 0)) break;
  }
  return end;
}

function lastCommitRow(blocks: readonly Block[], end: number): Block {
  const commit = blocks[end - 1];
  if (commit === undefined || commit.kind !== "commit") {
    throw new TraceError("The recording was cut before its first whole batch, so nothing of it can be used", {
      table: "seals",
      batch: null,
      offset: null,
    });
  }
  return commit;
}

/** Sorts blocks by table; each table's must follow one another without a gap. */
function assemble(blocks: readonly Block[], sources: Map<TableSpec, Source>): Map<string, TableFile> {
  const tables = new Map<string, TableFile>();
  for (const [spec, source] of sources) tables.set(spec.name, new TableFile(spec, source));
  for (const b of blocks) if (b.kind !== "commit") tables.get(b.table)?.add(b);
  for (const spec of TABLES) {
    if (!tables.get(spec.name)?.blocks.length) {
      throw new TraceError("The table has no sealed schema", { table: spec.name, batch: 0, offset: 0 });
    }
  }
  return tables;
}
