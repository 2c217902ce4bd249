/**
 * Computed tables kept in the recording's folder, `NAME.trace/cache/`, so that the next question is answered at once. No
 * part of the recording: nothing there is sealed, and the folder may be deleted at any time.
 *
 * A file is one line of JSON (what was asked, of which recording, checksum of the rest), then the columns one behind the
 * other, little-endian.
 *
 * @module
 */
import type { ComputedTable, ComputeRequest } from "../analysis/replay/expand.ts";
import { crc32c } from "../traces/crc32c.ts";
import { createHash } from "node:crypto";
import type { Bundle } from "../traces/bundle.ts";

/** Changes when what is computed, or how it is kept, changes. */
const VERSION = 1;
/** Largest file that is read or written. */
const BYTES_MAX = 2 ** 30;
/** Longest first line: the codes are in it. */
const HEAD_BYTES_MAX = 2 ** 27;

interface Head {
  version: number;
  recording: string;
  request: ComputeRequest;
  rows: number;
  columns: { name: string; width: 8 | 32 | 64 }[];
  codes: string[];
  crc32c: number;
}

/** Tables of one recording. */
export class ReplayCache {
  readonly #recording: string;
  /** Why nothing is kept, once that is known. */
  refused: string | null = null;

  constructor(readonly path: string, bundle: Bundle) {
    const { closing } = bundle.manifest;
    this.#recording = closing === null ? `cut at ${bundle.icount}` : closing.stateHash;
  }

  #file(request: ComputeRequest): string {
    const key = JSON.stringify([VERSION, this.#recording, request]);
    return `${this.path}/cache/${request.table}-${
      createHash("sha256").update(key).digest("hex").slice(0, 16)
    }.columns`;
  }

  /** What was computed before; null: nothing that can be used. */
  read(request: ComputeRequest): ComputedTable | null {
    try {
      const file = this.#file(request);
      if (Deno.statSync(file).size > BYTES_MAX) return null;
      return this.#decode(Deno.readFileSync(file), request);
    } catch {
      // Missing, cut or not ours: it is computed again.
      return null;
    }
  }

  #decode(bytes: Uint8Array<ArrayBuffer>, request: ComputeRequest): ComputedTable | null {
    const end = bytes.indexOf(10);
    if (end < 0 || end > HEAD_BYTES_MAX) return null;
    const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))) as Head;
    const rest = bytes.slice(end + 1);
    const asked = JSON.stringify(head.request) === JSON.stringify(request);
    if (head.version !== VERSION || head.recording !== this.#recording || !asked) return null;
    if (crc32c(rest) !== head.crc32c) return null;
    let at = 0;
    const columns = head.columns.map(({ name, width }) => {
      const length = head.rows * width / 8, part = rest.slice(at, at + length);
      at += length;
      return { name, width, data: width === 8 ? part : new Uint32Array(part.buffer) };
    });
    return at === rest.length ? { rows: head.rows, columns, codes: head.codes } : null;
  }

  /** Keeps a table, if that is allowed. */
  write(request: ComputeRequest, table: ComputedTable): void {
    const parts = table.columns.map(({ data }) =>
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    );
    const body = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
    parts.reduce((at, p) => (body.set(p, at), at + p.length), 0);
    const head: Head = {
      version: VERSION,
      recording: this.#recording,
      request,
      rows: table.rows,
      columns: table.columns.map(({ name, width }) => ({ name, width })),
      codes: table.codes,
      crc32c: crc32c(body),
    };
    const line = new TextEncoder().encode(JSON.stringify(head) + "\n");
    if (line.length > HEAD_BYTES_MAX || line.length + body.length > BYTES_MAX) return;
    try {
      Deno.mkdirSync(`${this.path}/cache`, { recursive: true });
      const file = this.#file(request), made = `${file}.new`;
      const sink = Deno.openSync(made, { write: true, create: true, truncate: true });
      try {
        for (const piece of [line, body]) {
          for (let n = 0; n < piece.length;) n += sink.writeSync(piece.subarray(n));
        }
      } finally {
        sink.close();
      }
      Deno.renameSync(made, file);
    } catch (e) {
      this.refused = e instanceof Deno.errors.NotCapable
        ? "the program may not write (--allow-write)"
        : e instanceof Error
        ? e.message
        : String(e);
    }
  }
}
