import { assert, assertEquals, assertGreater } from "@std/assert";
import { createHash } from "node:crypto";
import { kernelImage } from "../../core/boot/kernel_image.ts";
import { atPrompt, BOOTS, FULL, isFetched, type LinuxBoot, testIf, withBoot } from "./linux.ts";
import { guestPath } from "./manifest.ts";
import { recorded } from "./recording.ts";

/** The kernel's own list as it prints it when nothing is hidden, from its image, moved by a distance. */
function listOf(boot: LinuxBoot, slide: bigint): string {
  const path = guestPath(boot.role)!;
  const image = kernelImage(path, Deno.readFileSync(path));
  assert(image?.kallsyms, `${boot.role} has a symbol table`);
  const { bits } = image.elf;
  return image.kallsyms.symbols.map((s) => {
    const address = s.absolute ? s.address : BigInt.asUintN(bits, s.address + slide);
    return `${address.toString(16).padStart(bits / 4, "0")} ${s.type} ${s.name}\n`;
  }).join("");
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Ends of complete stacks: where threads, processors, system calls and interrupts begin. */
const OUTERMOST = "^(ret_from_fork|secondary_startup_64.*|entry_SYSCALL.*|entry_INT80.*|asm_.*)$";

const CASES: [boot: LinuxBoot, settings: string[], cmdline: string, everyday: boolean][] = [
  [BOOTS[0], [], "quiet nokaslr", true],
  // Booted over Linux's own protocol it unpacks itself, to where it likes.
  [BOOTS[2], ["type=linux"], "quiet", true],
  [BOOTS[1], [], "quiet", false],
  [BOOTS[5], [], "quiet", false],
  [BOOTS[6], ["type=linux"], "quiet", false],
];

for (const [boot, settings, cmdline, everyday] of CASES) {
  testIf(FULL || everyday, {
    name: `Linux ${boot.name} ${
      settings.join(" ")
    }: symbols are those that /proc/kallsyms lists, moved as it is`,
    ignore: !isFetched(boot),
    fn: () =>
      withBoot(boot, { cmdline }, (args) => {
        const script = atPrompt(
          "echo 0 > /proc/sys/kernel/kptr_restrict",
          "grep ' _text$' /proc/kallsyms; sha256sum /proc/kallsyms",
          "poweroff -f",
        );
        return recorded([...args, ...settings, "sample=1000000"], script, async (r) => {
          const text = r.console.match(/^([0-9a-f]{8,16}) T _text\r?$/m);
          const hash = r.console.match(/^([0-9a-f]{64}) {2}\/proc\/kallsyms\r?$/m);
          assert(text && hash, r.console.slice(-2000));
          const linked = BigInt(`0x${listOf(boot, 0n).match(/([0-9a-f]+) T _text\n/)![1]}`);
          const slide = BigInt(`0x${text[1]}`) - linked;
          if (settings.length > 0 && boot.arch === "amd64") assert(slide !== 0n, "KASLR moves this kernel");
          assertEquals(sha256(listOf(boot, slide)), hash[1]);
          const rows = await r.query(
            "SELECT start::VARCHAR AS start, source, (SELECT count(*) FROM symbols)::INTEGER AS n FROM symbols WHERE name = 'start_kernel'",
          );
          const start = listOf(boot, slide).match(/([0-9a-f]+) T start_kernel\n/)![1];
          assertEquals([rows[0].start, rows[0].source], [String(BigInt(`0x${start}`)), "kallsyms"]);
          assertGreater(rows[0].n as number, 20_000);
          if (boot.arch !== "amd64") return;
          const stacks = await r.query(
            `WITH s AS (SELECT stack[-1] - 1 AS last FROM samples WHERE cpl = 0 AND rip > 18446744071562067968)
             SELECT (count(*) FILTER (regexp_matches(name, '${OUTERMOST}')))::INTEGER AS whole, count(*)::INTEGER AS n
             FROM s ASOF LEFT JOIN functions ON last >= start`,
          );
          const { whole, n } = stacks[0] as { whole: number; n: number };
          assertGreater(n, 200);
          assertGreater(whole / n, 0.95, `${whole} of ${n} stacks are complete`);
        });
      }),
  });
}

/** Outer parts of the sampled stacks that lead through a function, as the kernel prints them, without repeats. */
const BACKTRACES = `
  WITH s AS (SELECT icount, unnest(stack) AS a, generate_subscripts(stack, 1) AS i FROM samples WHERE cpl = 0),
  n AS (
    SELECT icount, i, name || '+0x' || format('{:x}', a - start) AS place FROM s ASOF JOIN functions ON a - 1 >= start
  ),
  f AS (SELECT icount, min(i) AS i FROM n WHERE place LIKE 'nmi_trigger_cpumask_backtrace+%' GROUP BY icount)
  SELECT places, count(*)::INTEGER AS samples FROM (
    SELECT string_agg(place, ' ' ORDER BY n.i) AS places FROM n JOIN f ON n.icount = f.icount AND n.i >= f.i
    GROUP BY n.icount
  ) GROUP BY places`;

Deno.test({
  name: "Linux cloud-amd64 on Xen: sampled stacks are the ones that the kernel's own unwinder prints",
  ignore: !isFetched(BOOTS[0]),
  fn: () =>
    withBoot(BOOTS[0], { cmdline: "quiet" }, (args) => {
      const script = atPrompt(
        "echo 8 > /proc/sys/kernel/printk; echo l > /proc/sysrq-trigger",
        "poweroff -f",
      );
      // Each character that the kernel prints is a hypercall, made below the function that prints its backtrace.
      return recorded([...args, "sample=1000000"], script, async (r) => {
        const trace = r.console.match(/Call Trace:\r?\n.*<TASK>\r?\n([^]*?)RIP: /)?.[1] ?? "";
        // Those with a question mark are remains that it found on the stack.
        const sure = [...trace.matchAll(/\] {2}([^ ?<]\S*\+0x[0-9a-f]+)\/0x/g)].map((m) => m[1]);
        const from = sure.findIndex((place) => place.startsWith("nmi_trigger_cpumask_backtrace+"));
        assertGreater(from, 0, r.console.slice(-3000));
        assertGreater(sure.length - from, 5);
        const rows = await r.query(BACKTRACES);
        assertEquals(rows.map((row) => row.places), [sure.slice(from).join(" ")]);
        assertGreater(rows[0].samples as number, 20);
      });
    }),
});
