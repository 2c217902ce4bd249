/**
 * Recording a real guest with the program as users run it, replaying it, and asking it questions.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";

const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;

/** What a run of the program gave. */
export interface Ran {
  code: number;
  out: string;
  err: string;
}

/** Runs a verb of the program with what its task permits. */
export async function retrovisor(...args: string[]): Promise<Ran> {
  const permissions = ["--allow-read", "--allow-write", "--allow-env=RETROVISOR_DEBUG", "--allow-sys=cpus"];
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...permissions, MAIN, ...args],
    stdin: "null",
    signal: AbortSignal.timeout(600_000),
  });
  const { code, stdout, stderr } = await command.output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** What `info --format json` says of a recording, as far as the tests look at it. */
export interface Facts {
  /** Kind of the outcome. */
  outcome: string;
  outcome_message: string;
  icount: number;
  exits: number;
  hypercalls: number;
  state_hash: string;
}

/** A recorded guest that was also replayed. */
export interface Recorded {
  /** Folder of the recording. */
  trace: string;
  /** What the guest printed. */
  console: string;
  /** Exit code of the run. */
  code: number;
  facts: Facts;
  /** Rows of a query. */
  query: (sql: string) => Promise<Record<string, unknown>[]>;
}

/** Runs a guest without recording; what it printed is in `out`. */
export async function unrecorded(args: string[], script: string): Promise<Ran> {
  const file = await Deno.makeTempFile({ prefix: "retrovisor-script-" });
  try {
    await Deno.writeTextFile(file, script);
    return await retrovisor("run", ...args, "--no-record", "--script", file, "--epoch", "1000000000");
  } finally {
    await Deno.remove(file);
  }
}

/**
 * Records a guest, replays the recording to its end and checks that nothing differs, then hands it to `look`.
 * @param args of `run`: the guest and its settings
 * @param script console input, obeyed by the recorded run only
 */
export async function recorded(
  args: string[],
  script: string,
  look: (r: Recorded) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "retrovisor-guest-" });
  try {
    const trace = `${folder}/guest.trace`;
    await Deno.writeTextFile(`${folder}/script`, script);
    const run = await retrovisor(
      "run",
      ...args,
      "--output",
      trace,
      "--script",
      `${folder}/script`,
      "--epoch",
      "1000000000",
    );
    const info = await retrovisor("info", trace, "--format", "json");
    assertEquals(info.code, 0, run.err + info.err);
    const facts: Facts = JSON.parse(info.out);
    const replay = await retrovisor("replay", trace, "--format", "json");
    assertEquals(replay.code, 0, replay.out + replay.err);
    const replayed = JSON.parse(replay.out);
    assertEquals([replayed.icount, replayed.exits, replayed.hypercalls, replayed.state_hash], [
      facts.icount,
      facts.exits,
      facts.hypercalls,
      facts.state_hash,
    ]);
    const query = async (sql: string): Promise<Record<string, unknown>[]> => {
      const answer = await retrovisor("query", trace, sql, "--format", "json");
      assertEquals(answer.code, 0, answer.err);
      return JSON.parse(answer.out);
    };
    await checkCounts(facts, query);
    await look({ trace, console: run.out, code: run.code, facts, query });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The counts that queries give add up to the exits and hypercalls that the replay saw. */
async function checkCounts(facts: Facts, query: Recorded["query"]): Promise<void> {
  const sum = (rows: Record<string, unknown>[]): number => rows.reduce((total, r) => total + Number(r.n), 0);
  const byReason = await query("SELECT reason, count(*)::INTEGER AS n FROM exits GROUP BY reason");
  const byName = await query("SELECT name, count(*)::INTEGER AS n FROM hypercalls GROUP BY name");
  assert(byReason.length > 0);
  assertEquals([sum(byReason), sum(byName)], [facts.exits, facts.hypercalls]);
}
