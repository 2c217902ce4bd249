import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { gdbAt, whens } from "./debug_client.ts";
import { hasProgram } from "./programs.ts";

const MAIN = new URL("../cli/main.ts", import.meta.url).pathname;
const PERMISSIONS = [
  "--allow-read",
  "--allow-write",
  "--allow-net=127.0.0.1",
  "--allow-sys=cpus",
  "--allow-env=RETROVISOR_DEBUG",
];

function program(cwd: string, args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...PERMISSIONS, MAIN, ...args],
    cwd,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs the program to its end. */
async function finished(cwd: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await program(cwd, args).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Runs the program until it says where gdb connects, lets gdb do its work, and ends it if it does not by itself. */
async function withGdb(cwd: string, args: string[], lines: string[], interrupt: boolean): Promise<string> {
  const child = program(cwd, args), { promise: port, resolve } = Promise.withResolvers<number>();
  const drained = child.stdout.pipeTo(new WritableStream());
  let said = "";
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      said += text;
      const m = /target remote 127\.0\.0\.1:(\d+)/.exec(said);
      if (m !== null) resolve(Number(m[1]));
    }
    resolve(-1);
  })();
  const at = await port;
  assert(at > 0, said);
  try {
    return await gdbAt(at, lines);
  } finally {
    if (interrupt) child.kill("SIGINT");
    const { code } = await child.status;
    await Promise.all([reading, drained]);
    assertEquals(code, 0, said);
  }
}

Deno.test({
  name:
    "run --debug records what the same run without a debugger records, and debug answers SQL and branches",
  ignore: !hasProgram("gdb"),
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      const run = ["run", "--epoch", "1000000000", "--no-console"];
      await finished(folder, ...run, "--output", "plain.trace");
      const live = await withGdb(folder, [...run, "--output", "live.trace", "--debug", "127.0.0.1:0"], [
        "break *quicksort",
        "continue",
        "monitor when",
        "stepi",
        "x/i $pc",
        "delete",
        "continue",
      ], false);
      assertMatch(live, /Breakpoint 1, 0x[0-9a-f]+ in quicksort \(\)/);
      assertMatch(live, /\[Inferior 1 \(.*\) exited normally\]/);
      const facts = async (trace: string) => {
        const { icount, state_hash, exits, inputs, label } = JSON.parse(
          await finished(folder, "info", trace, "--format", "json"),
        );
        return { icount, state_hash, exits, inputs, label };
      };
      const plain = await facts("plain.trace");
      assertEquals(await facts("live.trace"), plain);

      const said = await withGdb(folder, ["debug", "plain.trace", "--listen", "127.0.0.1:0"], [
        `monitor seek ${whens(live)[0]}`,
        "info symbol $pc",
        "monitor sql SELECT count(*) AS n FROM exits",
        "monitor sql SELECT * FROM read_text('plain.trace/manifest.json')",
        "monitor sql SELECT nonsense",
        "monitor branch",
        "set var $rax = 1",
        "monitor branch end",
      ], true);
      assertStringIncludes(said, "quicksort in section .text");
      assertMatch(said, new RegExp(`^ *n\n─+\n${plain.exits}$`, "m"));
      assertEquals(said.includes("retrovisor-trace"), false, said);
      assertStringIncludes(said, "nonsense");
      assertStringIncludes(said, "recorded in demo-branch-1.trace");
      const branch = await facts("demo-branch-1.trace");
      assertEquals([branch.label, branch.icount], [
        `branch of demo at icount ${whens(live)[0]}`,
        whens(live)[0],
      ]);
      await finished(folder, "replay", "demo-branch-1.trace");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
