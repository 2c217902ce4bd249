/**
 * Coverage of the host differential test: every instruction form of 64-bit and 32-bit code that user mode can run,
 * each from many states, held against the host processor; and what user mode cannot run, with what tests it.
 *
 * @module
 */
import { Mnemonic } from "iced-x86";
import {
  Decoded,
  Decoder,
  MODE_FLAT,
  MODE_MMX,
  MODE_SSE,
  MODE_STACK32,
} from "../../core/cpu/decode/decoder.ts";
import { SYS_OPS } from "../../core/cpu/system/ops.ts";
import { differencesOf } from "./compare.ts";
import { bytesOf, type CodeForm, encodingsOf, EVERYDAY_GROUPS, formsOf, type Group } from "./forms.ts";
import { type GeneratedCase, makeFormCase } from "./generate.ts";
import type { Engine } from "./hostdiff.ts";
import { report } from "./hostdiff.ts";
import type { HostExec, Mode } from "./protocol.ts";
import { Random } from "./random.ts";
import { RunView } from "./run_view.ts";
import { unexplained } from "./vendor_rules.ts";

/** What the states of one form came to. */
export interface FormCoverage {
  mode: Mode;
  form: CodeForm;
  /** States that ran on both. */
  states: number;
  /** States without any difference. */
  agree: number;
  /** States whose differences rules explain, by rule. */
  explained: Map<string, number>;
  /** States that ended in an exception of the instruction. */
  faulted: number;
  /** Mismatches: differences that nothing explains. */
  mismatches: number;
}

/** A whole run. */
export interface Coverage {
  seed: number;
  vendor: string;
  forms: FormCoverage[];
  /** The first mismatches, as text. */
  reports: string[];
}

/** Options of a run. */
export interface CoverageOptions {
  seed: number;
  /** States of each form. */
  states: number;
  modes?: readonly Mode[];
  groups?: readonly Group[];
  /** Called now and then with the part done, 0 to 1. */
  onProgress?: (part: number) => void;
}

const GROUPS_RUN: ReadonlySet<Group> = new Set(EVERYDAY_GROUPS.filter((g) => g !== "invalid"));
const MAX_REPORTS = 20, BATCH = 1000;

/** The forms that user mode can run. */
export function formsToRun(mode: Mode, groups: ReadonlySet<Group> = GROUPS_RUN): CodeForm[] {
  return formsOf(mode).filter((f) => f.code !== 0 && groups.has(f.group));
}

async function runForm(
  engine: Engine,
  host: HostExec,
  row: FormCoverage,
  r: Random,
  states: number,
  c: Coverage,
) {
  const groups = new Set(GROUPS_RUN);
  while (row.states < states) {
    const made: GeneratedCase[] = [];
    while (made.length < Math.min(BATCH, states - row.states)) {
      const one = makeFormCase(r, row.mode, groups, row.form);
      if (!one) break;
      made.push(one);
    }
    if (made.length === 0) return;
    const expected = await host.run(made.map((m) => m.test));
    made.forEach((m, i) => {
      const ours = engine.run(m.test), differences = differencesOf(m, expected[i], ours);
      row.states++;
      if (expected[i].vector !== 3) row.faulted++;
      if (differences.length === 0) {
        row.agree++;
        return;
      }
      const left = unexplained(new RunView(m, expected[i], ours), differences, host.vendor, row.explained);
      if (left.length === 0) return;
      row.mismatches++;
      const text = left.map((d) => d.text);
      if (c.reports.length < MAX_REPORTS) {
        c.reports.push(report(c.seed, { index: -1, made: m, differences: text }));
      }
    });
  }
}

/** Runs every form; the same seed gives the same states. */
export async function runCoverage(engine: Engine, host: HostExec, o: CoverageOptions): Promise<Coverage> {
  const coverage: Coverage = { seed: o.seed, vendor: host.vendor, forms: [], reports: [] };
  const groups = o.groups ? new Set(o.groups) : GROUPS_RUN;
  const todo = (o.modes ?? [64, 32]).flatMap((mode) =>
    formsToRun(mode, groups).map((form) => ({ mode, form }))
  );
  for (const [n, { mode, form }] of todo.entries()) {
    const row: FormCoverage = {
      mode,
      form,
      states: 0,
      agree: 0,
      explained: new Map(),
      faulted: 0,
      mismatches: 0,
    };
    coverage.forms.push(row);
    await runForm(engine, host, row, new Random(o.seed, mode * 0x1_0000 + n), o.states, coverage);
    o.onProgress?.((n + 1) / todo.length);
  }
  return coverage;
}

const UD = SYS_OPS.indexOf("ud"), UNIMPLEMENTED = SYS_OPS.indexOf("unimplemented");

/** Names of what our decoder has for an encoding; null when it is undefined or not built. */
function ourName(decoder: Decoder, bytes: Uint8Array, mode: Mode): string | null {
  const word = (mode === 64 ? 2 : mode === 32 ? 1 | MODE_FLAT | MODE_STACK32 : 0) | MODE_SSE | MODE_MMX;
  if (decoder.decode(bytes, 0, 15, word) !== Decoded.OK) return null;
  const { sys } = decoder.entry;
  return sys === UD || sys === UNIMPLEMENTED ? null : sys >= 0 ? SYS_OPS[sys] : decoder.name;
}

/**
 * Operations of our decoder that no form of the comparison reaches, and an encoding of each. The policy is the
 * comparison's: everything that an everyday group needs.
 */
export function operationsNotRun(mode: Mode, has: (feature: string) => boolean): Map<string, string> {
  const decoder = new Decoder(has), run = new Set<string>(), all = new Map<string, string>();
  for (const form of formsToRun(mode)) {
    for (const e of form.encodings) {
      const name = ourName(decoder, bytesOf(e), mode);
      if (name !== null) run.add(name);
    }
  }
  for (const e of encodingsOf(mode)) {
    const bytes = bytesOf(e), name = ourName(decoder, bytes, mode);
    if (name === null || run.has(name) || all.has(name)) continue;
    all.set(
      name,
      [...bytes.subarray(0, e.prefixes.length + (e.rexW ? 1 : 0) + e.opcode.length + 1)]
        .map((b) => b.toString(16).padStart(2, "0")).join(" "),
    );
  }
  return all;
}

/** Mnemonic of a form. */
export const mnemonicOf = (f: CodeForm): string => Mnemonic[f.mnemonic];
