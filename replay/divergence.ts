/**
 * The first difference between a recording and its replay.
 *
 * @module
 */

/** What differs, where. */
export interface DivergenceFacts {
  /** Instructions retired when the difference was seen. */
  icount: number;
  /** RIP at the difference. */
  rip: bigint;
  /** Table whose row differs, or "closing" for the closing record. */
  table: string;
  /** Row of that table. */
  row: number;
  /** First column that differs. */
  column: string;
  /** What the recording says. */
  expected: string;
  /** What the replay did. */
  actual: string;
  /** The exits of both sides, whole: the one that differs, or the next recorded one and the last one that happened. */
  expectedExit: string;
  /** The exit that happened. */
  actualExit: string;
}

/** A replay did not do what the recording says. Exit code 3. */
export class Divergence extends Error {
  /** Always "Divergence". */
  override name = "Divergence";
  /** Process exit code that belongs to this error. */
  readonly exitCode = 3;

  /** Makes the one-sentence message from the facts. @param facts what differs, where */
  constructor(readonly facts: DivergenceFacts) {
    super(
      `Replay diverges at icount ${facts.icount}, RIP 0x${
        facts.rip.toString(16)
      }: ${facts.table} row ${facts.row}, ` +
        `${facts.column} is recorded as ${printable(facts.expected)} but is ${printable(facts.actual)}.`,
    );
  }

  /** Several lines for people: the sentence and both sides. */
  print(): string {
    return `${this.message}\n  expected exit: ${this.facts.expectedExit}\n  actual exit:   ${this.facts.actualExit}`;
  }
}

/** Text that a guest may have chosen, without control characters and of bounded length. */
function printable(text: string): string {
  const escaped = text.replace(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
  return escaped.length > 200 ? `${escaped.slice(0, 200)}…` : escaped;
}
