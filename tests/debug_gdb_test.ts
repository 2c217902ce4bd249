import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { demoImage } from "../guests/demo/image.ts";
import { runGdb, whens } from "./debug_client.ts";
import { open, recordDemo } from "./debug_fixture.ts";
import { hasProgram } from "./programs.ts";

/** Runs gdb with a script against a recording of the demo guest. @param file gdb is given the guest's ELF file */
async function gdb(lines: string[], file = true): Promise<string> {
  const { store } = await recordDemo();
  return await runGdb(open(store), lines, file ? demoImage() : undefined);
}

const ignore = !hasProgram("gdb");

Deno.test({
  name: "gdb breaks, steps both ways and meets the beginning and the end of a recording",
  ignore,
  fn: async () => {
    const said = await gdb([
      "break *quicksort",
      "continue",
      "monitor when",
      "stepi",
      "stepi",
      "reverse-stepi",
      "reverse-stepi",
      "monitor when",
      "p $pc == (long)&quicksort",
      "backtrace 1",
      "info threads",
      "delete",
      "continue",
      "monitor when",
      "reverse-continue",
      "monitor when",
      "info registers rip cr0 efer",
    ]);
    assertStringIncludes(said, "Breakpoint 1, 0x0000000000100e10 in quicksort ()");
    const [hit, back, end, begin] = whens(said);
    assertEquals(back, hit);
    assertStringIncludes(said, "$1 = 1");
    assertStringIncludes(said, "Thread 1 (vCPU 0 (running))");
    assertEquals(said.match(/No more reverse-execution history/g)?.length, 2);
    assert(end > hit);
    assertEquals(begin, 0);
    assertMatch(said, /rip +0x100100 +0x100100 <pvh_start>/);
  },
});

Deno.test({
  name: "gdb runs back to the instruction that wrote a watched word",
  ignore,
  fn: async () => {
    const said = await gdb([
      "monitor seek 30000000",
      "watch *(long*)0x10ee70",
      "reverse-continue",
      "monitor when",
      "x/i $pc",
      "p *(long*)0x10ee70",
      "stepi",
      "p *(long*)0x10ee70",
    ]);
    const m = /Hardware watchpoint 1: \*\(long\*\)0x10ee70\s+Old value = (-?\d+)\s+New value = (-?\d+)/.exec(
      said,
    );
    assert(m !== null, said);
    assertMatch(said, /=> 0x[0-9a-f]+ <fibonacci\+5>:\s+push +%r12/);
    assertStringIncludes(said, `$1 = ${m[2]}\n`);
    assertStringIncludes(said, `$2 = ${m[1]}\n`);
    assert(whens(said)[1] < 30_000_000);
  },
});

Deno.test({
  name: "gdb is told clearly that a recording cannot be changed, and what monitor commands there are",
  ignore,
  fn: async () => {
    const said = await gdb([
      "python",
      "import gdb",
      "for c in ['set var $rax = 5', 'set var *(char*)0x100000 = 5']:",
      "  try: gdb.execute(c)",
      "  except gdb.error as e: print('refused:', e)",
      "end",
      "monitor help",
      "monitor nonsense",
      "monitor seek x",
      "monitor exits 2",
      "monitor next-exit VMMCALL",
      "monitor prev-exit CPUID",
      "monitor checkpoint",
      "monitor xp 0x100100 4",
      "monitor hypercalls 2",
      "monitor seek 30000000",
      "monitor xl dmesg",
      "monitor sql FROM exits",
    ]);
    assertMatch(said, /refused: .*cannot be changed during replay/);
    assertEquals(said.match(/^refused: /gm)?.length, 2);
    assertStringIncludes(said, "prev-exit [REASON]");
    assertStringIncludes(said, 'There is no monitor command "nonsense"');
    assertStringIncludes(said, "seek takes an instruction count");
    const [call, cpuid] = whens(said);
    assert(call > cpuid && cpuid > 0, said);
    assertMatch(said, /^ +\d+ +vcpu 0 +VMEXIT_[A-Z0-9_]+ +rip 0x/m);
    assertStringIncludes(said, "00100100: fc fa bc 00");
    assertMatch(said, /^ +\d+ +vcpu 0 +[a-z_]+ [a-z_]+ +\(0x[0-9a-f, x]+\) = -?\d+$/m);
    assertMatch(said, /^Retrovisor demo guest: a 64-bit PVH kernel$/m);
    assertStringIncludes(said, "SQL cannot be answered here");
  },
});

Deno.test({
  name: "gdb takes the symbols from the recording when it has no file",
  ignore,
  fn: async () => {
    const said = await gdb([
      "info symbol $pc",
      "break *matrix_multiply",
      "continue",
      "backtrace 3",
      "reverse-stepi",
      "info symbol $pc",
    ], false);
    assertMatch(said, /^pvh_start in section \.text/m);
    assertMatch(said, /#0 .*matrix_multiply \(\)\n#1 .*run_arrays \(\)\n#2 .*main \(\)/);
    assertMatch(said, /^run_arrays \+ \d+ in section \.text/m);
  },
});
