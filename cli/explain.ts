/**
 * Errors as one sentence and an exit code.
 *
 * @module
 */
import { harmless, harmlessLines } from "../analysis/text.ts";
import { ExitCode } from "./exit_code.ts";
import { note, OutputClosed } from "./io.ts";

/** Prints an error as one sentence on standard error. @returns the exit code it stands for */
export function explain(error: unknown): number {
  if (error instanceof OutputClosed) return ExitCode.OK;
  if (debugWanted()) note(error instanceof Error ? error.stack ?? error.message : String(error));
  note(`retrovisor: ${sentence(error)}`);
  return errorExitCode(error);
}

/** Errors of the layers below carry their exit code, or are known by name. */
function errorExitCode(error: unknown): number {
  if (!(error instanceof Error)) return ExitCode.FAILED;
  const { exitCode } = error as { exitCode?: unknown };
  if (typeof exitCode === "number") return exitCode;
  if (error.name === "UsageError" || error.name === "GuestError" || error.name === "QueryError") {
    return ExitCode.USAGE;
  }
  return ExitCode.FAILED;
}

function sentence(error: unknown): string {
  if (!(error instanceof Error)) return harmless(String(error));
  if (error.name === "QueryError") return harmlessLines(error.message);
  const text = harmless(error.message.split("\n")[0]);
  if (error instanceof Deno.errors.NotCapable) {
    return `${text.replace(/, run again.*$/, "")}; the program was started without this permission.`;
  }
  if (error instanceof RangeError || error instanceof TypeError || error.name === "RuntimeError") {
    return `Internal error: ${text} (RETROVISOR_DEBUG=1 shows where; please report it).`;
  }
  return text;
}

function debugWanted(): boolean {
  // Asked without prompting: a program without the permission is simply not debugged.
  const permission = Deno.permissions.querySync({ name: "env", variable: "RETROVISOR_DEBUG" });
  return permission.state === "granted" && Deno.env.get("RETROVISOR_DEBUG") === "1";
}
