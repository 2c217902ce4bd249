/**
 * `retrovisor replay`: a recording is executed again and compared.
 *
 * @module
 */
import { duration, grouped, harmless, harmlessLines, short } from "../analysis/text.ts";
import { createMachine } from "../core/machine.ts";
import { replay, type ReplayResult } from "../replay/replayer.ts";
import { readManifest } from "../traces/bundle.ts";
import { ExitCode, UsageError } from "./exit_code.ts";
import { note, out, print } from "./io.ts";
import { ProgressLine } from "./progress.ts";
import { limitArgs, tracePath } from "./trace_args.ts";
import { countOption, type Given, type Verb } from "./verb.ts";

/** The verb. */
export const replayVerb: Verb = {
  name: "replay",
  summary: "Run a recording again and compare every exit and state hash.",
  usage: "TRACE",
  options: [
    { name: "to", value: "ICOUNT", help: "Stop at this instruction count instead of the end." },
    {
      name: "from-checkpoint",
      value: "N",
      help: "Start at checkpoint N (0 is the start) instead of the beginning.",
    },
    { name: "console", negatable: true, help: "Show what the guest prints (default off)." },
    { name: "format", value: "FORMAT", help: "text (default) or json." },
  ],
  notes: `
Exit code 0: everything replayed is as recorded. 3: the first difference is printed with both sides. 4: the recording is
corrupt. A recording that was cut replays to its last whole batch.`,
  examples: [
    ["replay demo-1.trace", "To the end, comparing every exit, input and checkpoint hash."],
    ["replay demo-1.trace --to 1000000", "The first million instructions."],
  ],
  run: replayTrace,
};

async function replayTrace(given: Given): Promise<number> {
  const path = tracePath(given, "replay");
  limitArgs(given, "replay", 1);
  const format = given.values.format ?? "text";
  if (format !== "text" && format !== "json") {
    throw new UsageError(`There is no format "${format}": say text or json.`);
  }
  const { to, "from-checkpoint": from } = given.values;
  const end = readManifest(path).closing?.icount ?? null;
  const limit = to === undefined ? null : countOption("to", to);
  const progress = new ProgressLine(limit ?? end);
  const stop = new AbortController();
  const interrupted = () => stop.signal.aborted ? Deno.exit(130) : stop.abort();
  Deno.addSignalListener("SIGINT", interrupted);
  try {
    const result = await replay(path, {
      createMachine,
      signal: stop.signal,
      onProgress: (p) => progress.update(p),
      ...(limit === null ? {} : { to: limit }),
      ...(from === undefined ? {} : { fromCheckpoint: countOption("from-checkpoint", from) }),
      ...(given.flags.console === true
        ? { onConsole: (_device: string, bytes: Uint8Array) => (progress.clear(), out(bytes)) }
        : {}),
    });
    progress.clear();
    printResult(result, format, stop.signal.aborted);
    return result.divergence === null ? ExitCode.OK : ExitCode.DIVERGENCE;
  } finally {
    progress.clear();
    Deno.removeSignalListener("SIGINT", interrupted);
  }
}

function printResult(r: ReplayResult, format: "text" | "json", stopped: boolean): void {
  if (format === "json") {
    const facts = r.divergence === null
      ? null
      : { ...r.divergence.facts, rip: `0x${r.divergence.facts.rip.toString(16)}` };
    const { icount, exits, hypercalls, inputs, checkpoints, recovered } = r;
    const json = {
      divergence: facts,
      icount,
      time_ns: Math.floor(r.timeNs),
      exits,
      hypercalls,
      inputs,
      checkpoints,
      state_hash: r.stateHash,
      outcome: r.outcome?.kind ?? null,
      recovered,
      stopped,
    };
    print(JSON.stringify(json, null, 2) + "\n");
    return;
  }
  if (r.divergence !== null) {
    note(`retrovisor: ${harmlessLines(r.divergence.print())}`);
    return;
  }
  const seconds = Math.max(r.hostMs / 1000, 1e-6);
  print(
    [
      harmless(r.message),
      `${grouped(r.hypercalls)} hypercalls and ${grouped(r.inputs)} inputs compared; ${
        duration(r.timeNs)
      } of virtual ` +
      `time in ${short(seconds)} s (${short(r.icount / 1e6 / seconds)} M instructions/s).`,
      `State hash ${r.stateHash}${r.outcome === null ? "" : `, ended: ${r.outcome.kind}`}`,
      ...(stopped ? ["Stopped before its end by its user."] : []),
      "",
    ].join("\n"),
  );
}
