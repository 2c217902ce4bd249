/**
 * Where a bundle's files live: a folder, or memory (tests, browsers). Everything above reads and writes through this.
 *
 * @module
 */
import { StorageError } from "./errors.ts";

/** A file being appended to. Writes are synchronous: when `write` returns, the caller may reuse its buffer. */
export interface Sink {
  /** Appends all bytes. @throws StorageError when the place is full or broken */
  write(bytes: Uint8Array): void;
  close(): void;
}

/** A file being read at random. */
export interface Source {
  readonly size: number;
  /** Reads `length` bytes at `offset` into fresh memory; fewer when the file ends before. */
  read(offset: number, length: number): Uint8Array;
  close(): void;
}

/** A bundle's folder. */
export interface Store {
  /** For messages. */
  readonly name: string;
  /** Creates or truncates a file. */
  create(file: string): Sink;
  /** Opens a file; null when it does not exist. */
  open(file: string): Source | null;
  /** Puts a small file in place of whatever had its name, whole or not at all. */
  replace(file: string, bytes: Uint8Array): void;
}

function storageError(e: unknown, file: string): StorageError {
  const why = e instanceof Error ? e.message : String(e);
  return new StorageError(`Cannot write ${file}: ${why}`);
}

class FileSink implements Sink {
  readonly #file: Deno.FsFile;
  constructor(readonly path: string) {
    this.#file = Deno.openSync(path, { write: true, create: true, truncate: true });
  }
  write(bytes: Uint8Array): void {
    try {
      for (let done = 0; done < bytes.length;) done += this.#file.writeSync(bytes.subarray(done));
    } catch (e) {
      throw storageError(e, this.path);
    }
  }
  close(): void {
    this.#file.close();
  }
}

class FileSource implements Source {
  readonly #file: Deno.FsFile;
  readonly size: number;
  constructor(path: string) {
    this.#file = Deno.openSync(path, { read: true });
    this.size = this.#file.statSync().size;
  }
  read(offset: number, length: number): Uint8Array {
    const out = new Uint8Array(Math.max(0, Math.min(length, this.size - offset)));
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    let done = 0;
    while (done < out.length) {
      const n = this.#file.readSync(out.subarray(done));
      if (n === null) break;
      done += n;
    }
    return out.subarray(0, done);
  }
  close(): void {
    this.#file.close();
  }
}

/** A bundle in a folder of the host. */
export class DirectoryStore implements Store {
  /** @param name path of the folder; `create` and `replace` make it when it is missing */
  constructor(readonly name: string) {}

  /** Makes the folder. @throws StorageError when that is not possible */
  make(): void {
    try {
      Deno.mkdirSync(this.name, { recursive: true });
    } catch (e) {
      throw storageError(e, this.name);
    }
  }

  create(file: string): Sink {
    try {
      return new FileSink(`${this.name}/${file}`);
    } catch (e) {
      throw storageError(e, `${this.name}/${file}`);
    }
  }

  open(file: string): Source | null {
    try {
      return new FileSource(`${this.name}/${file}`);
    } catch (e) {
      if (e instanceof Deno.errors.NotFound || e instanceof Deno.errors.NotADirectory) return null;
      throw new StorageError(
        `Cannot read ${this.name}/${file}: ${e instanceof Error ? e.message : String(e)}`,
      );
    }
  }

  replace(file: string, bytes: Uint8Array): void {
    const path = `${this.name}/${file}`, temporary = `${path}.new`;
    const sink = this.create(`${file}.new`);
    try {
      sink.write(bytes);
    } finally {
      sink.close();
    }
    try {
      Deno.renameSync(temporary, path);
    } catch (e) {
      throw storageError(e, path);
    }
  }
}

/** A bundle in memory. */
export class MemoryStore implements Store {
  readonly name = "memory";
  /** File contents by name; tests may alter them. */
  readonly files: Map<string, Uint8Array> = new Map();

  /** @param capacityBytes most bytes all files may hold together: beyond that writes fail as on a full disk */
  constructor(readonly capacityBytes: number = Infinity) {}

  #used(): number {
    let n = 0;
    for (const f of this.files.values()) n += f.length;
    return n;
  }

  create(file: string): Sink {
    let buffer = new Uint8Array(1024), length = 0;
    this.files.set(file, buffer.subarray(0, 0));
    return {
      write: (bytes: Uint8Array) => {
        const room = Math.min(bytes.length, this.capacityBytes - this.#used());
        if (length + room > buffer.length) {
          const bigger = new Uint8Array(Math.max(buffer.length * 2, length + room));
          bigger.set(buffer.subarray(0, length));
          buffer = bigger;
        }
        // A full disk takes what fits, then refuses: the partial write stays.
        buffer.set(bytes.subarray(0, room), length);
        length += room;
        this.files.set(file, buffer.subarray(0, length));
        if (room < bytes.length) throw new StorageError(`Cannot write ${file}: No space left on device`);
      },
      close: () => {},
    };
  }

  open(file: string): Source | null {
    const bytes = this.files.get(file);
    if (bytes === undefined) return null;
    return {
      size: bytes.length,
      read: (offset, length) => bytes.slice(offset, offset + length),
      close: () => {},
    };
  }

  replace(file: string, bytes: Uint8Array): void {
    const before = this.files.get(file)?.length ?? 0;
    if (this.#used() - before + bytes.length > this.capacityBytes) {
      throw new StorageError(`Cannot write ${file}: No space left on device`);
    }
    this.files.set(file, bytes.slice());
  }
}
