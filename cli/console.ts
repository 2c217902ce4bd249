/**
 * The user's end of the guest's console: a raw terminal with Ctrl-] to leave, or a pipe.
 *
 * @module
 */
import type { LiveInputs } from "../replay/inputs.ts";

/** Ctrl-], which `xl console` and telnet leave with. */
export const LEAVE_BYTE = 0x1d;
/** Host milliseconds before input is offered again to a guest whose queue is full. */
const RETRY_MS = 20;

/** Console input from standard input. */
export class ConsoleInput {
  readonly interactive: boolean;
  #raw = false;
  #closed = false;

  /**
   * @param target console device that gets the input
   * @param leave called when the user leaves
   */
  constructor(readonly inputs: LiveInputs, readonly target: string, readonly leave: () => void) {
    this.interactive = Deno.stdin.isTerminal();
  }

  /** Begins to read; returns at once. A pipe's end is the end of input. */
  start(): void {
    if (this.interactive) {
      Deno.stdin.setRaw(true);
      this.#raw = true;
    }
    void this.#read();
  }

  /** Gives the terminal back. */
  close(): void {
    this.#closed = true;
    if (this.#raw) Deno.stdin.setRaw(false);
    this.#raw = false;
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(4096);
    try {
      while (!this.#closed) {
        const n = await Deno.stdin.read(buffer);
        if (n === null) break;
        const leaveAt = this.interactive ? buffer.subarray(0, n).indexOf(LEAVE_BYTE) : -1;
        await this.#push(buffer.slice(0, leaveAt < 0 ? n : leaveAt));
        if (leaveAt >= 0) return this.leave();
      }
    } catch {
      // Standard input is closed or unreadable: the same as its end.
    }
    this.inputs.end();
  }

  async #push(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    while (!this.#closed && !this.inputs.push(this.target, bytes)) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}
