/**
 * The program `retrovisor`: finds the verb, runs it, turns every error into one sentence and an exit code.
 *
 * @module
 */
import project from "../deno.json" with { type: "json" };
import { harmless, harmlessLines } from "../analysis/text.ts";
import { ExitCode, UsageError } from "./exit_code.ts";
import { note, OutputClosed, print } from "./io.ts";
import { suggestion } from "./nearest.ts";
import { parseVerbArgs, verbHelp } from "./verb.ts";
import { programHelp, VERBS } from "./verbs.ts";

/** Runs a command line. @returns the exit code; errors are already printed */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    return await dispatch(argv);
  } catch (error) {
    return explain(error);
  }
}

async function dispatch(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    const topic = name === "help" ? rest[0] : undefined;
    if (topic !== undefined) return await dispatch([topic, "--help"]);
    print(programHelp(project.version));
    return name === undefined ? ExitCode.USAGE : ExitCode.OK;
  }
  if (name === "--version" || name === "-V" || name === "version") {
    print(`retrovisor ${project.version}\n`);
    return ExitCode.OK;
  }
  const entry = VERBS.find((v) => v.name === name);
  if (entry === undefined) {
    throw new UsageError(`There is no verb "${name}"${suggestion(name, VERBS.map((v) => v.name))}`);
  }
  const verb = await entry.load();
  const given = parseVerbArgs(verb, rest);
  if (given.flags.help) {
    print(verbHelp(verb));
    return ExitCode.OK;
  }
  return await verb.run(given);
}

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

if (import.meta.main) Deno.exit(await main(Deno.args));
