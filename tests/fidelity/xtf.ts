/**
 * Runs the binaries of the Xen Test Framework: each recorded and replayed, its verdict in its own words, its exits
 * counted and compared with real Xen's.
 *
 * The binaries are built elsewhere and are no part of this repository.
 *
 * @module
 */
import { DEFAULT_CONFIG, type MachineConfig } from "../../core/config.ts";
import type { Machine } from "../../core/api.ts";
import { type Observer, reasonName } from "../../core/exits.ts";
import { NoInputs } from "../../core/inputs.ts";
import { createMachine } from "../../core/machine.ts";
import { replay } from "../../replay/replayer.ts";
import { record } from "../../replay/runner.ts";
import { MemoryStore } from "../../traces/store.ts";
import { XTF_EXPECTED, type XtfCounts } from "./xtf_expected.ts";

/** Instructions after which a test counts as hanging, and host time for the same. */
const MAX_INSTRUCTIONS = 5e9, MAX_MS = 120_000;

/** How one binary did. */
export interface XtfRow {
  name: string;
  /** SUCCESS, SKIP, ERROR or FAILURE as the test prints it; else how the run ended. */
  verdict: string;
  /** Last lines of its console before the verdict, when that is not SUCCESS. */
  detail: string;
  icount: number;
  exits: number;
  /** "ok" when the replay found no difference and the same state hash, else one sentence. */
  replayed: string;
  /** Differences from real Xen, e.g. "MSR 7 (Xen: 8)"; null when Xen's counts are not known. */
  differences: string[] | null;
}

/** Counts exits and hypercalls while another observer sees them, too. */
class Counter implements Observer {
  readonly exits = new Map<string, number>();
  readonly hypercalls = new Map<string, number>();
  constructor(readonly behind: Observer) {}
  onExit: Required<Observer>["onExit"] = (e) => {
    const name = reasonName(e.reason).replace(/^VMEXIT_/, "");
    this.exits.set(name, (this.exits.get(name) ?? 0) + 1);
    this.behind.onExit?.(e);
  };
  onHypercall: Observer["onHypercall"] = (h) => {
    this.hypercalls.set(h.name, (this.hypercalls.get(h.name) ?? 0) + 1);
    this.behind.onHypercall(h);
  };
  onInterrupt: Observer["onInterrupt"] = (i) => this.behind.onInterrupt(i);
  onConsole: Observer["onConsole"] = (a, b, c, d) => this.behind.onConsole(a, b, c, d);
  onInput: Observer["onInput"] = (i) => this.behind.onInput(i);
}

/** Differences between what was counted and what real Xen counted. */
export function compareCounts(counter: Pick<Counter, "exits" | "hypercalls">, xen: XtfCounts): string[] {
  const out: string[] = [];
  const check = (name: string, ours: number, theirs: number) => {
    if (ours !== theirs) out.push(`${name} ${ours} (Xen: ${theirs})`);
  };
  const calls = (name: string) => counter.hypercalls.get(name) ?? 0,
    exits = (name: string) => counter.exits.get(name) ?? 0;
  for (const name of ["memory_op", "console_io", "event_channel_op", "hvm_op"] as const) {
    check(name, calls(name), xen[name]);
  }
  for (const name of ["CPUID", "MSR", "CR0_WRITE", "CR4_WRITE"] as const) check(name, exits(name), xen[name]);
  check("CR reads", exits("CR0_READ") + exits("CR4_READ"), xen.CR_READ);
  for (const [name, n] of Object.entries(xen.hypercalls)) check(name, calls(name), n);
  for (const [name, n] of Object.entries(xen.exits)) check(name, exits(name), n);
  return out;
}

function verdictOf(text: string): string | null {
  return /Test result: (\w+)/.exec(text)?.[1] ?? null;
}

/** Runs one binary. */
export async function runXtf(name: string, bytes: Uint8Array): Promise<XtfRow> {
  const config: MachineConfig = { ...DEFAULT_CONFIG, name };
  const store = new MemoryStore();
  let text = "", counter: Counter | null = null;
  const decoder = new TextDecoder();
  const ran = await record(config, [{ role: "kernel", name, bytes }], new NoInputs(), store, {
    createMachine,
    maxInstructions: MAX_INSTRUCTIONS,
    signal: AbortSignal.timeout(MAX_MS),
    onMachine(m: Machine) {
      if (m.observer) m.observer = counter = new Counter(m.observer);
    },
    onConsole: (_device, chunk) => text += decoder.decode(chunk, { stream: true }),
  });
  const again = await replay(store, { createMachine });
  const same = again.divergence === null && again.stateHash === ran.stateHash;
  const verdict = verdictOf(text), xen = XTF_EXPECTED.get(name) ?? XTF_EXPECTED.get(`${name}~hap`);
  return {
    name,
    verdict: verdict ?? `no verdict: ${ran.outcome.kind}`,
    detail: verdict === "SUCCESS" ? "" : detailOf(text, ran.outcome.message),
    icount: ran.icount,
    exits: ran.exits,
    replayed: same ? "ok" : again.message,
    differences: xen && counter ? compareCounts(counter, xen) : null,
  };
}

/** Page that a whole run writes, and what it says above the table. */
const PAGE = new URL("../../docs/fidelity-xtf.md", import.meta.url);
const PAGE_HEAD = [
  "# The Xen Test Framework's verdicts",
  "",
  "`deno task fidelity --xtf FOLDER` runs every `hvm*` binary of [XTF](https://xenbits.xenproject.org/docs/xtf/)",
  "found in FOLDER: each is recorded, replayed and compared, its verdict is quoted in its own words, and its",
  "exits are counted. XTF's sources and binaries are no part of this repository; build them elsewhere (`make` in",
  "XTF's tree) and copy `tests/*/test-hvm*` into one folder.",
  "",
  "The counts in the sixth column are compared with what xentrace recorded on real Xen 4.17 (AMD SVM, HAP), as",
  "written in `tests/fidelity/xtf_expected.ts`. Where they differ:",
  "",
  "- **cpuid**: the test scans and prints every leaf that CPUID shows, one exit and one line each; real Xen's guest",
  "  had 24 more. Xen passes on what the processor has, up to leaf 0xd and 0x80000021 (`CPUID_GUEST_NR_*` and",
  "  `calculate_host_policy` in its `cpuid.c`); ours ends at 0x80000008 and has no XSAVE, hence no sub-leaves of",
  "  0xd. The 24 fit a processor with AVX that ends at 0x8000001e (22 leaves, and sub-leaves 1 and 2 of 0xd); the",
  "  processor under that Xen was not noted down.",
  "- **nested-svm**: that Xen offered SVM to its guests, ours does not: the test prints that it skips.",
  "",
  "Verdicts other than SUCCESS:",
  "",
  "- **SKIP**: what the test needs is not offered: the forced emulation prefix (a debugging aid that Xen itself",
  "  does not offer unless booted with `hvm_fep`), Argo, nested SVM and VT-x, HPET.",
  "- **fep**: FAILURE is right without the forced emulation prefix.",
  "- **xsa-472-1, -2, -3**: need a domain with Viridian enlightenments (the last also two vCPUs), which their",
  "  configuration files ask for and this run does not give.",
];

/** What a test said before its verdict, without its banner. */
function detailOf(text: string, outcome: string): string {
  // Everything is printed twice: by console_io and on the console ring.
  const lines = new Set(text.split("\n").map((l) => l.trim()));
  const said = [...lines].filter((l) => /\w/.test(l) && !/^(--- Xen|Environment|Test result|PANIC)/.test(l));
  return (said.slice(1, 4).join(" / ") || outcome).slice(0, 160);
}

/**
 * Runs every `hvm*` test binary of a folder; prints a Markdown table and totals. Returns the exit code.
 * @param write write docs/fidelity-xtf.md, too
 */
export async function xtfMain(folder: string, filter: string, write: boolean): Promise<number> {
  const names = [...Deno.readDirSync(folder)].filter((f) =>
    f.isFile && /^test-hvm/.test(f.name) && f.name.includes(filter)
  )
    .map((f) => f.name.replace(/^test-/, "")).sort();
  const rows: XtfRow[] = [], page = [...PAGE_HEAD, ""];
  const say = (line: string) => {
    console.log(line);
    page.push(line);
  };
  say("| test | verdict | instructions | exits | replay | exit counts of real Xen | detail |");
  say("|---|---|--:|--:|---|---|---|");
  for (const name of names) {
    let row: XtfRow;
    try {
      row = await runXtf(name, Deno.readFileSync(`${folder}/test-${name}`));
    } catch (e) {
      const detail = e instanceof Error ? e.message : String(e);
      row = { name, verdict: "not run", detail, icount: 0, exits: 0, replayed: "-", differences: null };
    }
    rows.push(row);
    const counts = row.differences === null
      ? "-"
      : row.differences.length
      ? row.differences.join(", ")
      : "equal";
    const detail = row.detail.replaceAll("|", "\\|");
    say(
      `| ${name} | ${row.verdict} | ${row.icount} | ${row.exits} | ${row.replayed} | ${counts} | ${detail} |`,
    );
  }
  const tally = new Map<string, number>();
  for (const r of rows) tally.set(r.verdict, (tally.get(r.verdict) ?? 0) + 1);
  const known = rows.filter((r) => r.differences !== null),
    equal = known.filter((r) => r.differences?.length === 0);
  say(
    `\n${rows.length} tests: ${[...tally].map(([v, n]) => `${n} ${v}`).join(", ")}; ` +
      `${rows.filter((r) => r.replayed === "ok").length} replayed without a difference; ` +
      `${equal.length} of ${known.length} with the exit counts of real Xen`,
  );
  if (write) Deno.writeTextFileSync(PAGE, page.join("\n") + "\n");
  return rows.every((r) => r.replayed === "ok") ? 0 : 1;
}
