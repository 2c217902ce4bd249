/**
 * `retrovisor run`: a guest runs and is recorded.
 *
 * @module
 */
import { consoleTarget, type GuestImage } from "../core/config.ts";
import type { Machine } from "../core/api.ts";
import { createMachine, type RetrovisorMachine } from "../core/machine.ts";
import { demoImage } from "../guests/demo/image.ts";
import type { GdbServer } from "../replay/gdb/listener.ts";
import { LiveDebuggee } from "../replay/gdb/live.ts";
import { liveTarget } from "../replay/gdb/open.ts";
import { injectedFaults } from "./inject.ts";
import { LiveInputs } from "../replay/inputs.ts";
import { eventLoopTurn } from "../replay/pacing.ts";
import { record, type RunOptions, type RunResult, runUnrecorded } from "../replay/runner.ts";
import { parseScript, type Script } from "../replay/script.ts";
import { ConsoleInput } from "./console.ts";
import { ExitCode, outcomeExitCode, UsageError } from "./exit_code.ts";
import { GDB_PLACE, listenForGdb } from "./gdb_listen.ts";
import { buildGuest, finish, type Guest, isGuest } from "./guest.ts";
import { IGNORED_KEYS, KEYS } from "./guest_keys.ts";
import { note, out } from "./io.ts";
import { listenOption } from "./listen.ts";
import { chooseFolder } from "./output_folder.ts";
import { ProgressLine } from "./progress.ts";
import { runSummary } from "./run_summary.ts";
import { SYMBOLS_OPTION, symbolsOption } from "./trace_args.ts";
import { countOption, type Given, type Verb } from "./verb.ts";

/** Plain colours, visible cursor. */
const RESET_TERMINAL = new TextEncoder().encode("\x1b[0m\x1b[?25h");

/** The verb. */
export const runVerb: Verb = {
  name: "run",
  summary: "Run a guest and record it.",
  usage: "[GUEST] [KEY=VALUE ...]",
  options: [
    { name: "output", alias: "o", value: "DIR", help: "Folder of the recording (default ./NAME-N.trace)." },
    { name: "record", negatable: true, help: "Record (default); --no-record only runs." },
    {
      name: "console",
      negatable: true,
      help: "Connect the guest's console to this terminal or pipe (default).",
    },
    { name: "max-instructions", value: "N", help: "End the run after N instructions (1000000, 1M, 0x100)." },
    { name: "checkpoint", value: "N", help: "A checkpoint every N instructions; 0: only at start and end." },
    {
      name: "inject",
      value: "FAULTS",
      help: "Faults, with commas between: flip@ICOUNT:GPA:BIT flips a bit of guest memory.",
    },
    { name: "script", value: "FILE", help: "Console input from a script of wait, send and at lines." },
    {
      name: "epoch",
      value: "SECONDS",
      help: "What the guest's clock says at boot (default: the host's time).",
    },
    {
      name: "debug",
      value: "HOST:PORT",
      help: "Wait for gdb before the first instruction, e.g. 127.0.0.1:1234.",
    },
    { name: "sample", value: "N", help: "A PC sample every N instructions, for report; also key sample=N." },
    SYMBOLS_OPTION,
  ],
  notes: `
GUEST is a .cfg file in xl.cfg syntax (paths in it are relative to it) or a guest image: an ELF kernel with a PVH note, a
bzImage, a multiboot kernel, a BIOS. Without GUEST the built-in demo guest runs. KEY=VALUE wins over the file. Keys:
${wrapped(Object.keys(KEYS))}
Other keys of xl.cfg (${[...IGNORED_KEYS].slice(0, 4).join(", ")}, ...) are accepted and have no effect.
On a terminal, Ctrl-] leaves and everything else goes to the guest; from a pipe, all input goes to the guest. SIGINT ends
the recording cleanly. With --debug, registers and memory that gdb writes become inputs of the recording; where it stops
the machine leaves no trace in it. The guest's output goes to standard output, everything else to standard error.`,
  examples: [
    ["run", "The demo guest."],
    ["run vmlinuz ramdisk=initrd.gz cmdline='console=hvc0' memory=256", "A Linux kernel as a Xen PVH guest."],
    ["run guest.cfg memory=512 --output boot.trace", "A guest from its xl.cfg, with more memory."],
    ["run bios=/usr/share/seabios/bios.bin --max-instructions 20M", "SeaBIOS from the reset vector."],
    ["run vmlinuz ramdisk=initrd.gz --debug :1234", "Under gdb (target remote :1234), and recorded."],
    ["run test.elf cpuid=default,-pae intercepts=all --no-console", "Without PAE, with every exit there is."],
  ],
  run,
};

function wrapped(words: readonly string[]): string {
  const lines = [""];
  for (const w of words) {
    if (lines[lines.length - 1].length + w.length > 108) lines.push("");
    lines[lines.length - 1] += ` ${w}`;
  }
  return lines.map((l) => ` ${l}`).join("\n");
}

async function run(given: Given): Promise<number> {
  const guest = guestOf(given), { sample } = given.values;
  if (sample !== undefined) guest.config.sampleInterval = countOption("sample", sample);
  if (guest.ignored.length > 0) note(`Keys without effect here: ${guest.ignored.join(", ")}.`);
  const target = consoleTarget(guest.config);
  const script = readScript(given, target);
  const folder = given.flags.record === false ? null : chooseFolder(guest.config.name, given.values.output);
  if (folder === null && given.values.output !== undefined) {
    throw new UsageError("Options --output and --no-record contradict each other; give one.");
  }
  const result = await runLive(given, guest, target, script, folder);
  for (const line of runSummary(result, folder)) note(line);
  if (result.recordingStopped !== null) return ExitCode.FAILED;
  return outcomeExitCode(result.outcome);
}

/** Runs with the user's console connected, until the guest, the limit or the user ends it. */
async function runLive(
  given: Given,
  guest: Guest,
  target: string,
  script: Script | null,
  folder: string | null,
): Promise<RunResult> {
  const showConsole = given.flags.console !== false;
  const readConsole = showConsole && script === null;
  const inputs = liveInputs(given, script, !readConsole, guest.config.memoryBytes);
  const stop = new AbortController();
  const input = readConsole ? new ConsoleInput(inputs, target, () => stop.abort()) : null;
  const max = given.values["max-instructions"],
    most = max === undefined ? null : countOption("max-instructions", max);
  const progress = new ProgressLine(most, Deno.stderr.isTerminal() && !(input?.interactive ?? false));
  const debug = gdbOptions(given, guest, inputs, stop);
  const options = {
    ...debug?.options,
    ...runOptions(given, inputs, stop.signal, progress, showConsole, most),
    // Whoever sits at the terminal sees a guest's timeouts pass at their own pace.
    realTime: input?.interactive ?? false,
  };
  const interrupted = () => stop.signal.aborted ? Deno.exit(130) : stop.abort();
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
  for (const s of signals) Deno.addSignalListener(s, interrupted);
  try {
    if (input?.interactive) note("Connected to the guest's console; Ctrl-] leaves.");
    input?.start();
    const result = folder === null
      ? await runUnrecorded(guest.config, guest.images, inputs, options)
      : await record(guest.config, guest.images, inputs, folder, options);
    if (inputs.flipsLeft > 0) {
      note(`The run ended before ${inputs.flipsLeft} of the faults to inject were due.`);
    }
    return result;
  } finally {
    await debug?.close();
    progress.clear();
    input?.close();
    // The guest may have left colours on and the cursor hidden.
    if (showConsole && Deno.stdout.isTerminal()) out(RESET_TERMINAL);
    for (const s of signals) Deno.removeSignalListener(s, interrupted);
  }
}

/** gdb on the run that is about to begin; null when nobody asks for it. */
function gdbOptions(
  given: Given,
  guest: Guest,
  inputs: LiveInputs,
  stop: AbortController,
): { options: Pick<RunOptions, "gate" | "onMachine">; close(): Promise<void> } | null {
  if (given.values.debug === undefined) return null;
  const place = listenOption(given.values.debug, GDB_PLACE, "debug");
  let live: LiveDebuggee | null = null, server: GdbServer | null = null, serving = Promise.resolve();
  stop.signal.addEventListener("abort", () => live?.release());
  const onMachine = (m: Machine) => {
    const machine = m as RetrovisorMachine;
    live = new LiveDebuggee(machine, inputs, "live");
    const listening = listenForGdb(live, liveTarget(machine, guest.images), place);
    server = listening.server;
    server.onClient = (what) => note(`gdb ${what}.`);
    serving = server.serve();
    note(`The machine waits for gdb: target remote ${listening.shown}`);
  };
  const gate = {
    open: () => stop.signal.aborted || live === null ? Promise.resolve() : live.open(),
    get limit() {
      return live?.limit ?? Infinity;
    },
    ran: () => live?.ran(),
  };
  const close = async () => {
    live?.release();
    // The answer that the machine has ended is still on its way.
    await eventLoopTurn();
    server?.close();
    await serving;
  };
  return { options: { gate, onMachine }, close };
}

function runOptions(
  given: Given,
  inputs: LiveInputs,
  signal: AbortSignal,
  progress: ProgressLine,
  showConsole: boolean,
  most: number | null,
): RunOptions {
  const checkpoint = given.values.checkpoint, symbols = symbolsOption(given);
  return {
    createMachine,
    signal,
    onProgress: (p) => progress.update(p),
    onConsole: (_device, bytes, _icount, timeNs) => {
      inputs.observeOutput(bytes, timeNs);
      if (!showConsole) return;
      progress.clear();
      progress.midLine = bytes.at(-1) !== 10;
      out(bytes);
    },
    ...(most === null ? {} : { maxInstructions: most }),
    ...(symbols === null ? {} : { symbols }),
    ...(checkpoint === undefined ? {} : { checkpointInterval: countOption("checkpoint", checkpoint) }),
  };
}

function liveInputs(given: Given, script: Script | null, unattended: boolean, memory: number): LiveInputs {
  const { epoch, inject } = given.values;
  const seconds = epoch === undefined ? null : countOption("epoch", epoch);
  return new LiveInputs({
    epochSeconds: () => seconds ?? Math.floor(Date.now() / 1000),
    entropy: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    unattended,
    ...(script === null ? {} : { script }),
    ...(inject === undefined ? {} : { flips: injectedFaults(inject, memory) }),
  });
}

function readScript(given: Given, target: string): Script | null {
  const path = given.values.script;
  if (path === undefined) return null;
  try {
    return parseScript(Deno.readTextFileSync(path), target);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new UsageError(`Cannot read ${path}: there is no such file.`);
    }
    throw error;
  }
}

/** The guest that was named, or the demo guest with what was set. */
function guestOf(given: Given): Guest {
  const built = buildGuest(given.args);
  if (isGuest(built)) return built;
  const image: GuestImage = { role: "kernel", name: "demo", bytes: demoImage() };
  return finish({ ...built, config: { name: "demo", ...built.config } }, [image]);
}
