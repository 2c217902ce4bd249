/**
 * Privileged behaviour side by side: guests of our own, assembled with nasm, that print one line a case, run on our
 * machine (interpreter, compiler from the first or an early run, default) and on Debian's QEMU (TCG), compared case by
 * case.
 *
 * Where they differ, `EXPLAINED` says why, from the manual; a difference without an entry is a mismatch, and so is an
 * entry without a difference.
 *
 * @module
 */
import { DEFAULT_CONFIG, type MachineConfig } from "../../core/config.ts";
import { NoInputs } from "../../core/inputs.ts";
import { createMachine } from "../../core/machine.ts";
import { EXPLAINED } from "./side_by_side_explained.ts";

const TESTS = new URL("../", import.meta.url).pathname, FOLDER = `${TESTS}privileged/`;
/** CPUID policy with what the tests need; QEMU's is `max`. */
export const CPUID = "default,+smep,+smap,+nx,+pae";
/** Instructions after which a guest counts as endless, and seconds given to QEMU. */
const LIMIT = 20_000_000, QEMU_SECONDS = 60;

/** The guests, by file name without suffix. */
export function guestNames(): string[] {
  return [...Deno.readDirSync(FOLDER)].map((f) => f.name).filter((n) => n.endsWith(".asm"))
    .map((n) => n.slice(0, -4)).sort();
}

/** Assembles a guest of a folder of tests; returns the path of its multiboot image. */
export async function assemble(name: string, into: string, folder = "privileged"): Promise<string> {
  const out = `${into}/${name}.bin`;
  const args = ["-f", "bin", "-I", FOLDER, "-o", out, `${TESTS}${folder}/${name}.asm`];
  const { success, stderr } = await new Deno.Command("nasm", { args, stderr: "piped" }).output();
  if (!success) throw new Error(`Cannot assemble ${name}.asm: ${new TextDecoder().decode(stderr)}`);
  return out;
}

/** What a guest prints on our machine. */
export function runOurs(name: string, image: Uint8Array, jitThreshold: number): string[] {
  const config: MachineConfig = {
    ...DEFAULT_CONFIG,
    name,
    type: "multiboot",
    xen: false,
    platform: "pc",
    memoryBytes: 64 << 20,
    cpuid: CPUID,
  };
  const m = createMachine(config, [{ role: "kernel", name, bytes: image }], new NoInputs(), { jitThreshold });
  const decoder = new TextDecoder();
  let text = "";
  m.observer = {
    onHypercall() {},
    onInterrupt() {},
    onInput() {},
    onConsole(_icount, _timeNs, device, bytes) {
      if (device === "port-e9") text += decoder.decode(bytes, { stream: true });
    },
  };
  while (m.outcome === null && m.icount < LIMIT) m.runUntil(m.icount + 1_000_000);
  const lines = text.split(/\r?\n/).filter((l) => l !== "");
  if (m.outcome?.kind !== "exit") lines.push(`ended: ${m.outcome?.message ?? "not within the limit"}`);
  return lines;
}

/** What a guest prints on QEMU. */
export async function runQemu(image: string): Promise<string[]> {
  const args = [
    "-accel",
    "tcg",
    // Virtual time: an instruction is a nanosecond, as on ours.
    "-icount",
    "shift=0,sleep=off",
    "-cpu",
    "max",
    "-M",
    "pc",
    "-m",
    "64",
    "-display",
    "none",
    "-no-reboot",
    "-serial",
  ];
  args.push(
    "null",
    "-monitor",
    "none",
    "-debugcon",
    "stdio",
    "-device",
    "isa-debug-exit,iobase=0xf4,iosize=4",
    "-kernel",
    image,
  );
  const child = new Deno.Command("timeout", {
    args: [String(QEMU_SECONDS), "qemu-system-x86_64", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const { stdout } = await child.output();
  return new TextDecoder().decode(stdout).split(/\r?\n/).filter((l) => l !== "");
}

/** One case in which the two differ, or that only one of them has. */
export interface CaseDifference {
  name: string;
  ours: string;
  qemu: string;
  /** Why, from the manual; null: nobody knows. */
  reason: string | null;
}

/** What the comparison of one guest came to. */
export interface SideBySide {
  guest: string;
  cases: number;
  differences: CaseDifference[];
  /** Engines of ours that disagree with the interpreter. */
  engines: string[];
}

const nameOf = (line: string) => {
  const at = line.search(/:( v| a=)/);
  return at < 0 ? line : line.slice(0, at);
};

/** What stands for a case that one of the two has not printed: no manual explains that. */
const MISSING = "(missing)";

/** The reason for a difference of a case. */
function reasonFor(guest: string, name: string, ours: string, qemu: string): string | null {
  if (ours === MISSING || qemu === MISSING) return null;
  const e = EXPLAINED.find((e) => e.guest === guest && e.cases.test(name));
  return e !== undefined && (e.fits?.(ours, qemu) ?? true) ? e.why : null;
}

/** Compile thresholds that are compared with the interpreter: every day, and in a campaign (1 takes half a minute). */
const THRESHOLDS = [20, 2000], ALL_THRESHOLDS = [1, ...THRESHOLDS];

/** Runs one guest everywhere. @param all with everything compiled at once, too */
export async function compareGuest(name: string, all = false): Promise<SideBySide> {
  const folder = await Deno.makeTempDir({ prefix: "retrovisor-privileged-" });
  try {
    const path = await assemble(name, folder), image = Deno.readFileSync(path);
    const ours = runOurs(name, image, 0), engines: string[] = [];
    for (const threshold of all ? ALL_THRESHOLDS : THRESHOLDS) {
      const other = runOurs(name, image, threshold);
      const at = ours.findIndex((l, i) => l !== other[i]);
      if (at >= 0 || other.length !== ours.length) {
        engines.push(`threshold ${threshold}: ${other[at]} instead of ${ours[at]}`);
      }
    }
    const qemu = new Map((await runQemu(path)).map((l) => [nameOf(l), l]));
    const mine = new Map(ours.map((l) => [nameOf(l), l])), differences: CaseDifference[] = [];
    for (const key of new Set([...mine.keys(), ...qemu.keys()])) {
      const a = mine.get(key) ?? MISSING, b = qemu.get(key) ?? MISSING;
      if (a !== b) {
        const cut = (l: string) => l.startsWith(key) ? l.slice(key.length + 1).trim() : l,
          one = cut(a),
          two = cut(b);
        differences.push({ name: key, ours: one, qemu: two, reason: reasonFor(name, key, one, two) });
      }
    }
    return { guest: name, cases: mine.size, differences, engines };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Page that a whole run writes. */
const PAGE = new URL("../../docs/fidelity-qemu.md", import.meta.url);

/** The page: totals and every difference. */
function page(results: SideBySide[]): string {
  const out = [
    "# Side by side with QEMU",
    "",
    "Written by `deno task fidelity --qemu --write`; do not edit. The guests of `tests/privileged/` print one line a case",
    "(exceptions in order with vector, error code, distance from the case's start, CR2, DR6; EAX and EBX at its end). They run",
    "on our interpreter, compiler from the first run and default engine, which must agree, and on QEMU's TCG.",
    "",
    "| guest | cases | equal | different, explained | unexplained |",
    "|---|--:|--:|--:|--:|",
  ];
  for (const r of results) {
    const known = r.differences.filter((d) => d.reason !== null).length, all = r.differences.length;
    out.push(`| ${r.guest} | ${r.cases} | ${r.cases - all} | ${known} | ${all - known} |`);
  }
  out.push("", "## Differences", "", "| case | ours | QEMU | why |", "|---|---|---|---|");
  for (const r of results) {
    for (const d of r.differences) {
      out.push(`| ${r.guest}, ${d.name} | \`${d.ours}\` | \`${d.qemu}\` | ${d.reason ?? "?"} |`);
    }
  }
  return out.join("\n") + "\n";
}

/** Runs every guest; prints the page. Returns the exit code: 0 when every difference is explained. */
export async function sideBySideMain(only: string, write: boolean): Promise<number> {
  const results: SideBySide[] = [];
  for (const name of guestNames().filter((n) => n.includes(only))) {
    results.push(await compareGuest(name, true));
  }
  const text = page(results);
  console.log(text);
  for (const r of results) for (const e of r.engines) console.log(`${r.guest}: engines disagree: ${e}`);
  if (write) Deno.writeTextFileSync(PAGE, text);
  return results.every((r) => r.engines.length === 0 && r.differences.every((d) => d.reason !== null))
    ? 0
    : 1;
}
