import { assert, assertEquals, assertGreater, assertMatch, assertStringIncludes } from "@std/assert";
import type { Input } from "../core/inputs.ts";
import { rewriteInputs } from "../traces/rewrite.ts";
import { readSeals } from "../traces/seals.ts";
import { DirectoryStore } from "../traces/store.ts";
import { ECHO_GUEST, RESTLESS_GUEST, type Result, runIn, start } from "./cli_fixture.ts";
import { seeded } from "./trace_fixture.ts";

const FOLDER = await Deno.makeTempDir({ prefix: "retrovisor-damage-" });
const TRACE = `${FOLDER}/echo.trace`;
const retrovisor = (...args: string[]): Promise<Result> => runIn(FOLDER, args);

/** Every verb that opens a recording. */
const READERS: string[][] = [["replay"], ["query", "SELECT 1"], ["info"], ["verify"], ["report"]];

function reader(n: number, trace = TRACE): Promise<Result> {
  const [verb, ...more] = READERS[n % READERS.length];
  return retrovisor(verb, trace, ...more);
}

await Deno.writeFile(`${FOLDER}/echo.bin`, ECHO_GUEST);
await Deno.writeFile(`${FOLDER}/restless.bin`, RESTLESS_GUEST);
await Deno.writeTextFile(
  `${FOLDER}/script`,
  [..."bcdfg"].map((c) => `send "${c}"\nwait "${c}"\n`).join("") + 'send "q"\n',
);
const run = await retrovisor(
  ...["run", "kernel=echo.bin", "type=flat", "memory=4", "--script", "script", "--output", TRACE],
  ...["--max-instructions", "50M"],
);

Deno.test("every verb accepts the recording while it is whole", async () => {
  assertEquals([run.code, run.out], [0, "bcdfgq"], run.err);
  for (let n = 0; n < READERS.length; n++) {
    const r = await reader(n);
    assertEquals(r.code, 0, r.err);
  }
});

Deno.test("one flipped bit in any file is exit code 4 naming table, batch and offset, whatever the verb", async () => {
  const seed = 20260707, random = seeded(seed);
  console.log(`seed ${seed}`);
  const files = [...Deno.readDirSync(TRACE)].map((f) => f.name).sort();
  assertGreater(files.length, 10);
  const cases = files.map((file, n): [string, number] => [file, n]);
  // And the same place for each of the verbs.
  for (let n = 0; n < READERS.length; n++) cases.push(["exits.arrows", n]);
  for (const [file, verb] of cases) {
    const path = `${TRACE}/${file}`, whole = await Deno.readFile(path);
    const bit = random(whole.length * 8), damaged = whole.slice();
    damaged[bit >>> 3] ^= 1 << (bit & 7);
    await Deno.writeFile(path, damaged);
    try {
      const r = await reader(verb);
      const what = `bit ${bit} of ${file}, ${READERS[verb % READERS.length][0]}: ${r.err}`;
      assertEquals([r.code, r.out], [4, ""], what);
      const table = file.replace(/\.(arrows|json)$/, "");
      assertMatch(
        r.err,
        new RegExp(`^retrovisor: [^\\n]+ \\(table ${table}, batch \\d+, offset \\d+\\)\\.\\n$`),
        what,
      );
    } finally {
      await Deno.writeFile(path, whole);
    }
  }
});

/** Replays a copy whose inputs were changed and whose checksums are right. */
async function replayForged(edit: (inputs: Input[]) => Input[]): Promise<Result> {
  const folder = `${FOLDER}/forged.trace`;
  const to = new DirectoryStore(folder);
  to.make();
  try {
    rewriteInputs(new DirectoryStore(TRACE), to, edit);
    assertEquals((await retrovisor("verify", folder)).code, 0, "only replay can tell");
    return await retrovisor("replay", folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("one deleted or altered input is exit code 3 naming icount, RIP, expected and actual exit", async () => {
  const facts = JSON.parse((await retrovisor("info", TRACE, "--format", "json")).out);
  assertEquals(facts.inputs, 6);
  for (let n = 0; n < facts.inputs; n++) {
    const edits: [string, (inputs: Input[]) => Input[]][] = [
      ["deleted", (all) => all.filter((_, k) => k !== n)],
      [
        "altered",
        (all) => all.map((i, k) => k === n ? { ...i, payload: i.payload.map((b) => b ^ 0x20) } : i),
      ],
    ];
    for (const [what, edit] of edits) {
      const r = await replayForged(edit), printed = r.out + r.err;
      assertEquals(r.code, 3, `input ${n} ${what}: ${printed}`);
      assertMatch(printed, /Replay diverges at icount \d+, RIP 0x[0-9a-f]+: /);
      const [, expected, actual] = /\n {2}expected exit: (.+)\n {2}actual exit: (.+)/.exec(printed) ?? [];
      assert(expected && actual && expected !== actual, printed);
      assertStringIncludes(expected + actual, "VMEXIT_IOIO");
      assert(!/\bat .*:\d+:\d+/.test(printed), printed);
    }
  }
});

/** Commits that a recording in the making has so far. */
function commits(trace: string): number {
  try {
    return readSeals(Deno.readFileSync(`${trace}/seals.arrows`)).blocks.filter((b) => b.kind === "commit")
      .length;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

Deno.test("kill -9 while recording leaves what every verb reads up to the last whole batch, and says so", async () => {
  const trace = `${FOLDER}/killed.trace`;
  const child = start(FOLDER, ["run", "kernel=restless.bin", "type=flat", "memory=4", "--output", trace]);
  // One commit is made before the guest runs, and then one a second.
  for (let n = 0; n < 600 && commits(trace) < 3; n++) await new Promise((resolve) => setTimeout(resolve, 50));
  child.kill("SIGKILL");
  await child.stdin.close().catch(() => {});
  const ended = await child.output();
  assertEquals(ended.signal, "SIGKILL");

  const info = await retrovisor("info", trace, "--format", "json");
  const facts = JSON.parse(info.out);
  assertEquals([info.code, facts.recovered, facts.outcome], [0, true, null]);
  assertGreater(facts.exits, 1000);
  const replay = await retrovisor("replay", trace);
  assertEquals(replay.code, 0, replay.err);
  assertStringIncludes(
    replay.out + replay.err,
    `The recording was cut: it is used up to its last whole batch, at icount ${facts.icount} (${facts.exits} exits).`,
  );
  const replayed = JSON.parse((await retrovisor("replay", trace, "--format", "json")).out);
  assertEquals([replayed.icount, replayed.exits, replayed.divergence], [facts.icount, facts.exits, null]);
  const query = await retrovisor("query", trace, "SELECT count(*) AS n FROM exits", "--format", "json");
  assertEquals([query.code, JSON.parse(query.out)], [0, [{ n: facts.exits }]]);
  assertStringIncludes(query.err, `killed.trace was cut; it is read up to icount ${facts.icount}.`);
  assertStringIncludes((await retrovisor("verify", trace)).out, "the recording was cut there");
  const report = await retrovisor("report", trace);
  assertEquals(report.code, 0);
  assertStringIncludes(report.err, "the recording was cut");
});

globalThis.addEventListener("unload", () => Deno.removeSync(FOLDER, { recursive: true }));
