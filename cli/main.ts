/**
 * The program `retrovisor`: finds the verb, runs it, turns every error into one sentence and an exit code.
 *
 * @module
 */
import project from "../deno.json" with { type: "json" };
import { ExitCode, UsageError } from "./exit_code.ts";
import { explain } from "./explain.ts";
import { print } from "./io.ts";
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

if (import.meta.main) Deno.exit(await main(Deno.args));
