import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { recordingSize } from "../../bench/travel.ts";
import { openForDebugging } from "../../replay/gdb/open.ts";
import { Bundle } from "../../traces/bundle.ts";
import { runGdb, whens } from "../debug_client.ts";
import { hasProgram } from "../programs.ts";
import { BOOTS, isFetched, type LinuxBoot, withBoot } from "./linux.ts";
import { retrovisor } from "./recording.ts";

/** Changes a variable of the kernel (0 before), and makes it panic. */
const CRASH = "echo -5 > /proc/sys/kernel/panic\necho c > /proc/sysrq-trigger\n";

/** Instructions before the write in which the other reckoning looks for writes. */
const WINDOW = 5_000_000;

/** The last write before an instruction count to four bytes, as re-execution with an instrumented engine finds it. */
type LastWrite = (
  address: bigint,
  before: number,
) => Promise<{ icount: number; rip: bigint; function: string }>;

/** Records a boot that ends in a panic, lets gdb loose on it, and hands what gdb said to `look`. */
async function debugPanic(
  boot: LinuxBoot,
  lines: string[],
  look: (said: string, lastWrite: LastWrite) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "retrovisor-guest-" }), trace = `${folder}/panic.trace`;
  const lastWrite: LastWrite = async (address, before) => {
    const sql = `SELECT icount::DOUBLE AS icount, rip::VARCHAR AS rip, function
      FROM memory_writes(${address}, 4, ${before - WINDOW}, ${before}) ORDER BY icount DESC LIMIT 1`;
    const { code, out, err } = await retrovisor("query", trace, sql, "--format", "json");
    assertEquals(code, 0, err);
    const [row] = JSON.parse(out);
    return { icount: row.icount, rip: BigInt(row.rip), function: row.function };
  };
  try {
    await withBoot(boot, { script: CRASH, cmdline: "nokaslr", instructions: "3000M" }, async (args) => {
      const run = await retrovisor(
        "run",
        ...args,
        "--output",
        `${folder}/panic.trace`,
        "--epoch",
        "1000000000",
      );
      assertStringIncludes(run.out, "Kernel panic - not syncing: sysrq triggered crash", run.err);
    });
    const bundle = Bundle.open(trace);
    try {
      const { bytes, checkpointBytes, checkpoints } = recordingSize(bundle);
      assert(
        checkpoints > 5 && bytes <= 2 * (bytes - checkpointBytes),
        `${checkpointBytes} of ${bytes} bytes`,
      );
      await look(await runGdb(openForDebugging(bundle), lines), lastWrite);
    } finally {
      bundle.close();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function boot(name: string): LinuxBoot {
  return BOOTS.find((b) => b.name === name)!;
}

const cloud = boot("cloud-amd64 on Xen"), pae = boot("686-pae on Xen");

Deno.test({
  name: "gdb goes from a panic of 64-bit Linux back to the store that set a kernel variable",
  ignore: !isFetched(cloud) || !hasProgram("gdb"),
  fn: async () => {
    const lines = [
      "break panic",
      "continue",
      "monitor when",
      "backtrace 3",
      "stepi",
      "stepi",
      "reverse-stepi",
      "reverse-stepi",
      "monitor when",
      "print *(int *)&panic_timeout",
      "delete",
      "watch *(int *)&panic_timeout",
      "reverse-continue",
      "monitor when",
      "print/x (long)&panic_timeout",
      "x/i $pc",
      "print *(int *)&panic_timeout",
      "stepi",
      "print *(int *)&panic_timeout",
      "monitor when",
      "delete",
      "finish",
      "info symbol $pc",
      "break panic",
      "continue",
      "monitor when",
    ];
    await debugPanic(cloud, lines, async (said, lastWrite) => {
      assertMatch(said, /Breakpoint 1, 0x[0-9a-f]+ in panic \(\)/);
      assertMatch(said, /#0 .* in panic \(\)\n#1 .* in sysrq_handle_crash \(\)/);
      const [panic, again, store, behind, last] = whens(said);
      assertEquals([again, behind, last], [panic, store + 1, panic]);
      assert(store < panic);
      assertMatch(
        said,
        /Hardware watchpoint 2: .*\n\nOld value = -5\nNew value = 0\n.* in do_proc_dointvec_conv \(\)/,
      );
      assertMatch(said, /=> 0x[0-9a-f]+ <do_proc_dointvec_conv\+\d+>:\s+mov +%e[a-z]+,\(%r[a-z]+\)/);
      assertEquals([...said.matchAll(/^\$\d = (-?\d+)$/gm)].map((m) => m[1]), ["-5", "0", "-5"]);
      assertMatch(said, /^__do_proc_dointvec \+ \d+ in section \.text/m);
      const variable = BigInt(/^\$2 = (0x[0-9a-f]+)$/m.exec(said)![1]);
      const rip = BigInt(/=> (0x[0-9a-f]+) <do_proc/.exec(said)![1]);
      assertEquals(await lastWrite(variable, panic), {
        icount: store,
        rip,
        function: "do_proc_dointvec_conv",
      });
    });
  },
});

Deno.test({
  name: "gdb goes from a panic of 32-bit Linux back to the instruction that pushed its message",
  ignore: !isFetched(pae) || !hasProgram("gdb"),
  fn: async () => {
    const lines = [
      "show architecture",
      // From the end this time.
      "monitor seek 1000000000000",
      "break panic",
      "reverse-continue",
      "monitor when",
      "x/s *(char **)($esp + 4)",
      "watch -l *(int *)($esp + 4)",
      "reverse-continue",
      "monitor when",
      "x/i $pc",
      "print $esp",
      "stepi",
      "x/s *(char **)$esp",
      "reverse-stepi",
      "monitor when",
    ];
    await debugPanic(pae, lines, async (said, lastWrite) => {
      assertStringIncludes(said, '(currently "i386")');
      assertEquals(said.match(/^0x[0-9a-f]+.*:\s+"sysrq triggered crash\\n"$/gm)?.length, 2, said);
      assertMatch(
        said,
        /Hardware watchpoint 2: .*\n\nOld value = .*\nNew value = .*\n0x[0-9a-f]+ in sysrq_handle_crash/,
      );
      assertMatch(said, /=> 0x[0-9a-f]+ <sysrq_handle_crash\+\d+>:\s+push +\$0x[0-9a-f]+/);
      const [end, panic, push, again] = whens(said);
      assert(push < panic && panic - push < 10 && panic < end, said);
      assertEquals(again, push);
      const stack = BigInt(/^\$1 = \(void \*\) (0x[0-9a-f]+)$/m.exec(said)![1]) - 4n;
      const rip = BigInt(/=> (0x[0-9a-f]+) <sysrq/.exec(said)![1]);
      assertEquals(await lastWrite(stack, panic), { icount: push, rip, function: "sysrq_handle_crash" });
    });
  },
});
