/**
 * `deno task fidelity --coverage`: the table of forms, and its page in docs.
 *
 * @module
 */
import { parseCpuidSpec } from "../../core/cpu/cpuid.ts";
import { type Coverage, type FormCoverage, mnemonicOf, operationsNotRun, runCoverage } from "./coverage.ts";
import { GROUPS } from "./forms.ts";
import { GuestExec } from "./guestexec.ts";
import { hostAvailable, HostExec } from "./protocol.ts";
import { RULES } from "./vendor_rules.ts";

/** Page that a whole run writes. */
export const PAGE = new URL("../../docs/fidelity-coverage.md", import.meta.url);

/** Operations that user mode cannot run, or not the same way on two systems, and the tests that cover them. */
export const COVERED_ELSEWHERE: Record<string, { why: string; tests: string }> = {};
function elsewhere(operations: string, why: string, tests: string): void {
  for (const name of operations.split(" ")) COVERED_ELSEWHERE[name] = { why, tests };
}
elsewhere(
  "sldt str sgdt sidt smsw",
  "shows the operating system's tables, or faults under UMIP",
  "system_segments_test.ts, control_test.ts",
);
elsewhere("verr verw lar lsl", "depends on the operating system's descriptors", "system_segments_test.ts");
elsewhere(
  "mov_to_sreg pop_sreg load_far_ptr",
  "loads descriptors of the operating system",
  "system_segments_test.ts",
);
elsewhere(
  "ret_far iret call_far_mem jmp_far_mem call_far_ptr jmp_far_ptr",
  "leaves the code segment",
  "system_transfer_test.ts, system_task_test.ts",
);
elsewhere("syscall sysenter", "enters the operating system", "system_fast_calls_test.ts");
elsewhere("sysret sysexit", "privileged, or differs by vendor outside it", "system_fast_calls_test.ts");
elsewhere("swapgs rdfsgsbase wrfsgsbase", "the operating system owns the bases", "system_segments_test.ts");
elsewhere("vmcall vmmcall svm_op clac stac", "asks the hypervisor or is privileged", "control_test.ts");
elsewhere("xgetbv xsetbv", "shows what the operating system enabled", "control_test.ts");
elsewhere("xsave xrstor", "the layout is the host's", "x87_test.ts");
elsewhere("cpuid", "is the host's", "cpuid_test.ts");
elsewhere("rdtsc rdtscp rdpmc", "is time, or the operating system's to allow", "control_test.ts");

/** Operations of the decoder that the comparison cannot reach. */
export function notRun(): Map<string, string> {
  const has = (feature: string) => {
    try {
      parseCpuidSpec(`default,+${feature}`);
      return true;
    } catch {
      return false; // No policy can admit it.
    }
  };
  const found = new Map<string, string>();
  for (const mode of [64, 32] as const) {
    for (const [name, bytes] of operationsNotRun(mode, has)) if (!found.has(name)) found.set(name, bytes);
  }
  return found;
}

const sum = (rows: FormCoverage[], of: (r: FormCoverage) => number) => rows.reduce((n, r) => n + of(r), 0);
const explained = (r: FormCoverage) => r.states - r.agree - r.mismatches;

function line(name: string, rows: FormCoverage[]): string {
  const cells = [
    name,
    rows.length,
    sum(rows, (r) => r.states),
    sum(rows, (r) => r.faulted),
    sum(rows, (r) => r.agree),
    sum(rows, explained),
    sum(rows, (r) => r.mismatches),
  ];
  return `| ${cells.map((c) => typeof c === "number" ? c.toLocaleString("en-US") : c).join(" | ")} |`;
}

function grouped(rows: FormCoverage[], key: (r: FormCoverage) => string): Map<string, FormCoverage[]> {
  const by = new Map<string, FormCoverage[]>();
  for (const r of rows) by.set(key(r), [...by.get(key(r)) ?? [], r]);
  return by;
}

const HEAD = [
  "| | forms | states | ended in a fault | agree | explained by a rule | unexplained |",
  "|---|--:|--:|--:|--:|--:|--:|",
];

/** The page: totals, groups, mnemonics, rules, what is covered elsewhere. */
export function coveragePage(c: Coverage, states: number): string {
  const rules = new Map<string, number>();
  for (const f of c.forms) for (const [name, n] of f.explained) rules.set(name, (rules.get(name) ?? 0) + n);
  const complete = c.forms.filter((f) => f.states >= states).length;
  const out = [
    "# Coverage of the comparison with the host processor",
    "",
    `Written by \`deno task fidelity --coverage --states ${states} --seed ${c.seed}\` on a host of ${c.vendor}; do not edit.`,
    "",
    "A form is an instruction with its operand sizes (`Code` of iced-x86) with a memory or a register operand, in 64-bit",
    "or 32-bit code. Each state is random: registers, flags, x87 and SSE state, memory, where operands lie; many fault.",
    "Everything is compared: registers, flags that the manual defines, memory, x87, MMX, XMM, MXCSR, and for a fault",
    "its vector, error code and address.",
    "",
    `${complete} of ${c.forms.length} forms ran from ${states.toLocaleString("en-US")} states each: ` +
    `${sum(c.forms, (r) => r.states).toLocaleString("en-US")} states, seed ${c.seed}, ` +
    `${sum(c.forms, (r) => r.mismatches)} unexplained differences.`,
    "",
    ...HEAD,
    ...[64, 32].map((mode) => line(`${mode}-bit code`, c.forms.filter((f) => f.mode === mode))),
    ...GROUPS.map((g) => ({ g, rows: c.forms.filter((f) => f.form.group === g) })).filter((x) =>
      x.rows.length
    )
      .map((x) => line(x.g, x.rows)),
    "",
    "## What rules explained",
    "",
    "| rule | states | source |",
    "|---|--:|---|",
    ...RULES.filter((r) => rules.has(r.name)).map((r) =>
      `| ${r.name} | ${rules.get(r.name)} | ${r.source} |`
    ),
    "",
    "## What user mode cannot compare",
    "",
    "| operation | encoding | why | tests |",
    "|---|---|---|---|",
    ...[...notRun()].map(([name, bytes]) => {
      const other = COVERED_ELSEWHERE[name];
      return `| ${name} | \`${bytes}\` | ${other?.why ?? "?"} | ${other?.tests ?? "none"} |`;
    }),
    "",
    "## By mnemonic",
    "",
    ...HEAD,
    ...[...grouped(c.forms, (r) => mnemonicOf(r.form))].sort(([a], [b]) => a < b ? -1 : 1)
      .map(([name, rows]) => line(name, rows)),
  ];
  return out.join("\n") + "\n";
}

/** Runs, prints the forms as CSV (or only the totals), writes the page; returns the exit code. */
export async function coverageMain(
  o: { states: number; seed: number; csv: boolean; page: boolean },
): Promise<number> {
  if (!hostAvailable()) {
    console.error("Cannot compare with the host processor: it needs Linux on x86-64 and gcc");
    return 2;
  }
  const host = new HostExec(), terminal = Deno.stderr.isTerminal();
  try {
    const c = await runCoverage(new GuestExec(), host, {
      ...o,
      onProgress: (part) => {
        if (terminal) Deno.stderr.writeSync(new TextEncoder().encode(`\r${(part * 100).toFixed(1)} %`));
      },
    });
    if (o.csv) {
      console.log("mode,form,operand,group,states,faulted,agree,explained,unexplained");
      for (const f of c.forms) {
        const operand = f.form.encodings[0].modrm;
        console.log(
          [
            f.mode,
            f.form.name,
            operand,
            f.form.group,
            f.states,
            f.faulted,
            f.agree,
            explained(f),
            f.mismatches,
          ].join(),
        );
      }
    }
    for (const text of c.reports) console.log(`${text}\n`);
    const page = coveragePage(c, o.states);
    if (o.page) Deno.writeTextFileSync(PAGE, page);
    console.log(page.split("\n## By mnemonic")[0]);
    return c.reports.length ? 1 : 0;
  } finally {
    await host.close();
  }
}
