/**
 * Small files that a user names: read whole within a limit, or written whole.
 *
 * @module
 */
import type { Pieces } from "../analysis/export/exporter.ts";
import { UsageError } from "./exit_code.ts";

/** A text file of at most `bytesMax` bytes. @param what it is, for messages, e.g. "a baseline" @throws UsageError */
export function readText(path: string, what: string, bytesMax: number): string {
  try {
    const { size, isFile } = Deno.statSync(path);
    if (!isFile) throw new UsageError(`Cannot read ${path}: it is no file.`);
    if (size > bytesMax) {
      throw new UsageError(`Cannot use ${path}: ${what} is at most ${bytesMax} bytes.`);
    }
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new UsageError(`Cannot read ${path}: there is no such file.`);
    }
    throw error;
  }
}

/** Writes a file, over what was there, piece by piece. @throws UsageError when its folder is missing or it is a folder */
export function writePieces(path: string, pieces: Iterable<string | Uint8Array>): void {
  const file = create(path);
  try {
    const sink = new FileSink(file);
    for (const piece of pieces) sink.write(piece);
    sink.flush();
  } finally {
    file.close();
  }
}

/** The same for pieces that are waited for. @throws UsageError */
export async function writeAsync(path: string, pieces: Pieces): Promise<void> {
  const file = create(path);
  try {
    const sink = new FileSink(file);
    for await (const piece of pieces) sink.write(piece);
    sink.flush();
  } finally {
    file.close();
  }
}

function create(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { write: true, create: true, truncate: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new UsageError(`Cannot write ${path}: its folder does not exist.`);
    }
    if (error instanceof Deno.errors.IsADirectory || String(error).includes("Is a directory")) {
      throw new UsageError(`Cannot write ${path}: it is a folder.`);
    }
    throw error;
  }
}

/** Removes what may not be there. */
export function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch {
    // It was never made.
  }
}

/** Like `writePieces`, under another name first, so that the file is whole or not there. @throws UsageError */
export function writeWhole(path: string, pieces: Iterable<string | Uint8Array>): void {
  const draft = `${path}.partial`;
  try {
    writePieces(draft, pieces);
    Deno.renameSync(draft, path);
  } catch (error) {
    removeQuietly(draft);
    throw error;
  }
}

/** Joins small pieces into few writes. */
class FileSink {
  readonly #encoder = new TextEncoder();
  #waiting: Uint8Array[] = [];
  #bytes = 0;

  constructor(readonly file: { writeSync(p: Uint8Array): number }) {}

  write(piece: string | Uint8Array): void {
    const bytes = typeof piece === "string" ? this.#encoder.encode(piece) : piece;
    this.#waiting.push(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes >= 1 << 18) this.flush();
  }

  flush(): void {
    const all = new Uint8Array(this.#bytes);
    let at = 0;
    for (const w of this.#waiting) {
      all.set(w, at);
      at += w.length;
    }
    for (let done = 0; done < all.length;) done += this.file.writeSync(all.subarray(done));
    this.#waiting = [];
    this.#bytes = 0;
  }
}
