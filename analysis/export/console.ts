/**
 * Console output as lines.
 *
 * @module
 */
import type { Session } from "../session.ts";

/** Longest line; what is longer continues on a next one. */
const LINE_MAX = 4096;

/** One line. */
export interface ConsoleLine {
  /** When its first character was printed, virtual ns. */
  timeNs: bigint;
  device: string;
  /** Without its line end. */
  text: string;
}

/** What was printed, line by line for each device, in the order in which lines end. Errors: `QueryError`. */
export function* consoleLines(session: Session): Generator<ConsoleLine> {
  const open = new Map<string, ConsoleLine>();
  const { rows } = session.query("SELECT time_ns, device, text FROM console ORDER BY icount, time_ns");
  for (const [time, name, piece] of rows) {
    const device = String(name);
    for (const [i, part] of String(piece).split("\n").entries()) {
      if (i > 0) {
        const done = open.get(device);
        open.delete(device);
        if (done !== undefined && done.text.trim() !== "") yield { ...done, text: done.text.trimEnd() };
      }
      if (part === "") continue;
      const line = open.get(device) ?? { timeNs: BigInt(time as bigint), device, text: "" };
      line.text += part;
      open.set(device, line);
      if (line.text.length >= LINE_MAX) {
        open.delete(device);
        yield line;
      }
    }
  }
  for (const line of open.values()) if (line.text.trim() !== "") yield line;
}
