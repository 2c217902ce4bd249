import { assertEquals, assertGreater } from "@std/assert";
import { Session } from "../analysis/session.ts";
import { VERBS } from "../cli/verbs.ts";
import { parseVerbArgs } from "../cli/verb.ts";
import { fixture } from "./analysis_fixture.ts";

const text = await Deno.readTextFile(new URL("../docs/questions.md", import.meta.url));

/** Verbs whose tasks are called otherwise. */
const TASKS: Record<string, string> = { gate: "check" };

Deno.test("every query of the ten questions is SQL that runs, with the columns that the answer shows", async () => {
  const session = await Session.open(fixture());
  try {
    const asked = [...text.matchAll(/deno task query boot\.trace "([^"]+)"\n\n {4}(.+)\n/g)];
    assertEquals(asked.length, 10);
    for (const [, sql, titles] of asked) {
      const { columns } = session.query(sql);
      assertEquals(titles.trim().split(/ +/), columns.map((c) => c.name), sql);
    }
  } finally {
    session.close();
  }
});

Deno.test("every other command of the ten questions has options that its verb knows", async () => {
  const commands = [...text.matchAll(/deno task (diff|gate|export) ([^\n`&]+)/g)];
  assertGreater(commands.length, 6);
  for (const [, task, args] of commands) {
    const verb = await VERBS.find((v) => v.name === (TASKS[task] ?? task))!.load();
    parseVerbArgs(verb, args.trim().split(/ +/));
  }
});
