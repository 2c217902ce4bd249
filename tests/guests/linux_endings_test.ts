import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { atPrompt, BOOTS, FULL, isFetched, testIf, withBoot } from "./linux.ts";
import { type Recorded, recorded } from "./recording.ts";

const [xen, , pc] = BOOTS;

/** One way in which a run can end. */
interface Ending {
  name: string;
  boot: typeof xen;
  /** What is typed at the prompt. */
  command: string;
  /** Kind of the outcome. */
  kind: string;
  /** Exit code of the program. */
  code: number;
  /** What the guest prints about it. */
  prints: string[];
  cmdline?: string;
  instructions?: string;
  everyday: boolean;
}

/** Takes more memory than there is, little by little: one piece of that size would be refused to begin with. */
const HOG = `awk 'BEGIN { for (;;) a[n++] = sprintf("%4000d", n) }'`;

const ENDINGS: Ending[] = [
  {
    name: "a panic on Xen (sysrq) ends as a crash",
    boot: xen,
    command: "echo c > /proc/sysrq-trigger",
    kind: "crash",
    code: 1,
    prints: ["Kernel panic - not syncing: sysrq triggered crash"],
    everyday: true,
  },
  {
    name: "init's exit on Xen ends as a crash",
    boot: xen,
    command: "exit",
    kind: "crash",
    code: 1,
    prints: ["Attempted to kill init!"],
    everyday: false,
  },
  {
    name: "a panic on a PC that is to reboot ends as a reboot",
    boot: pc,
    command: "echo c > /proc/sysrq-trigger",
    cmdline: "panic=1",
    kind: "reboot",
    code: 0,
    prints: ["Rebooting in 1 seconds.."],
    everyday: false,
  },
  {
    name: "a panic on a PC without a timeout is held by the instruction limit",
    boot: pc,
    command: "echo c > /proc/sysrq-trigger",
    instructions: "1000M",
    kind: "instruction-limit",
    code: 1,
    prints: ["end Kernel panic - not syncing"],
    everyday: false,
  },
  {
    name: "memory running out with panic_on_oom ends as a crash",
    boot: xen,
    command: `echo 1 > /proc/sys/vm/panic_on_oom; ${HOG}`,
    kind: "crash",
    code: 1,
    prints: ["Out of memory: system-wide panic_on_oom is enabled"],
    everyday: false,
  },
  {
    name: "memory running out kills the process, and the guest goes on",
    boot: xen,
    command: `${HOG}; echo survived $((40 + 2)); poweroff -f`,
    kind: "poweroff",
    code: 0,
    prints: ["Out of memory: Killed process", "survived 42"],
    everyday: true,
  },
  {
    name: "an endless loop ends at the instruction limit",
    boot: xen,
    command: "while :; do :; done",
    instructions: "700M",
    kind: "instruction-limit",
    code: 1,
    prints: ["while :; do :; done"],
    everyday: false,
  },
  {
    name: "halt with interrupts off on a PC ends as halted",
    boot: pc,
    command: "halt -f",
    kind: "halted",
    code: 1,
    prints: ["reboot: System halted"],
    everyday: true,
  },
];

/** The outcome says where; the recording ends there. */
function checkOutcome({ facts, console }: Recorded, kind: string): void {
  assertEquals(facts.outcome, kind, console);
  const icount = Number(facts.outcome_message.match(/icount (\d+)/)?.[1]);
  assert(icount > 0 && Math.abs(icount - facts.icount) <= 1, facts.outcome_message);
  assertStringIncludes(facts.outcome_message, "RIP 0x");
}

for (const e of ENDINGS) {
  testIf(FULL || e.everyday, {
    name: `Linux: ${e.name}`,
    ignore: !isFetched(e.boot),
    fn: () =>
      withBoot(e.boot, {
        ...(e.cmdline === undefined ? {} : { cmdline: e.cmdline }),
        ...(e.instructions === undefined ? {} : { instructions: e.instructions }),
      }, (args) =>
        recorded(args, atPrompt(e.command), (r) => {
          for (const text of e.prints) assertStringIncludes(r.console, text);
          checkOutcome(r, e.kind);
          assertEquals(r.code, e.code);
          return Promise.resolve();
        })),
  });
}
