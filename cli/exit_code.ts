/**
 * Process exit codes, and the errors that lead to them.
 *
 * @module
 */
import { isSuccess, type Outcome } from "../core/outcome.ts";

/** Exit codes of every verb. */
export const ExitCode = {
  /** All is well. */
  OK: 0,
  /** The guest failed, or a check did. */
  FAILED: 1,
  /** The command line, a configuration or a guest image cannot be used. */
  USAGE: 2,
  /** Replay differs from the recording. */
  DIVERGENCE: 3,
  /** A recording is corrupt. */
  CORRUPT: 4,
  /** The guest reached something that is not implemented; the message names it. */
  UNIMPLEMENTED: 5,
} as const;

/** A command line that cannot be understood: one sentence with what to do instead. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The exit code that an ending deserves. A run the user stopped is fine; one that hit its instruction limit is not. */
export function outcomeExitCode(outcome: Outcome): number {
  if (outcome.kind === "unimplemented") return ExitCode.UNIMPLEMENTED;
  if (outcome.kind === "host-stop") return ExitCode.OK;
  return isSuccess(outcome) ? ExitCode.OK : ExitCode.FAILED;
}
