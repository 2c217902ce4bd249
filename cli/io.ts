/**
 * Writing to standard output and error: whole, in order, and quiet when the reader has gone.
 *
 * @module
 */

/** Standard output was closed by its reader (`| head`): nothing more to say. */
export class OutputClosed extends Error {
  override name = "OutputClosed";
}

const encoder = new TextEncoder();

function writeAll(to: { writeSync(p: Uint8Array): number }, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) {
    try {
      done += to.writeSync(bytes.subarray(done));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) throw new OutputClosed();
      // A terminal that was made non-blocking by someone else.
      if (error instanceof Deno.errors.WouldBlock) continue;
      throw error;
    }
  }
}

/** Writes bytes to standard output. @throws OutputClosed */
export function out(bytes: Uint8Array): void {
  writeAll(Deno.stdout, bytes);
}

/** Writes text to standard output. @throws OutputClosed */
export function print(text: string): void {
  writeAll(Deno.stdout, encoder.encode(text));
}

/** Writes a line to standard error; one that nobody reads is lost. */
export function note(line: string): void {
  try {
    writeAll(Deno.stderr, encoder.encode(line + "\n"));
  } catch (error) {
    if (!(error instanceof OutputClosed)) throw error;
  }
}

/** Joins many small pieces of text into few writes. */
export class BufferedOut {
  #text = "";

  /** Appends text. @throws OutputClosed */
  write(text: string): void {
    this.#text += text;
    if (this.#text.length >= 1 << 16) this.flush();
  }

  /** Writes what waits. @throws OutputClosed */
  flush(): void {
    print(this.#text);
    this.#text = "";
  }
}
