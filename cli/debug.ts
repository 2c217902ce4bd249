/**
 * `retrovisor debug`: gdb against a recording, forwards and backwards.
 *
 * @module
 */
import { openForDebugging } from "../replay/gdb/open.ts";
import { type Architecture, ARCHITECTURES } from "../replay/gdb/registers.ts";
import { ExitCode, UsageError } from "./exit_code.ts";
import { GDB_PLACE, listenForGdb } from "./gdb_listen.ts";
import { note } from "./io.ts";
import { listenOption } from "./listen.ts";
import { MonitorSql } from "./monitor_sql.ts";
import { chooseFolder } from "./output_folder.ts";
import { limitArgs, openBundle, tracePath } from "./trace_args.ts";
import type { Given, Verb } from "./verb.ts";

/** The verb. */
export const debugVerb: Verb = {
  name: "debug",
  summary: "Serve a recording to gdb, forwards and backwards.",
  usage: "TRACE",
  options: [
    {
      name: "listen",
      value: "HOST:PORT",
      help: `Where gdb connects (default ${GDB_PLACE}; port 0: any).`,
    },
    {
      name: "branches",
      value: "DIR",
      help: "Where `monitor branch` records (default ./NAME-branch-N.trace).",
    },
    { name: "arch", value: "ARCH", help: "i8086, i386 or x86-64 (default: by the guest)." },
  ],
  notes: `
Then, in gdb: \`target remote :1234\`. \`monitor help\` lists what can be asked beyond gdb's own commands. One client at
a time; whoever can connect can read the whole recording, so listen on loopback unless you mean it. Ctrl-C ends.`,
  examples: [
    ["debug demo.trace", "Wait for gdb on port 1234 of this machine."],
    ["debug demo.trace --listen 127.0.0.1:0", "On a free port, which is printed."],
  ],
  run: debugTrace,
};

async function debugTrace(given: Given): Promise<number> {
  const path = tracePath(given, "debug");
  limitArgs(given, "debug", 1);
  const place = listenOption(given.values.listen, GDB_PLACE), { arch } = given.values;
  if (arch !== undefined && !ARCHITECTURES.some((a) => a === arch)) {
    throw new UsageError(`There is no architecture "${arch}": say ${ARCHITECTURES.join(" or ")}.`);
  }
  const bundle = openBundle(path), sql = new MonitorSql(bundle, path);
  try {
    const { traveler, target } = openForDebugging(bundle, arch as Architecture | undefined);
    const { server, shown } = listenForGdb(traveler, target, place, {
      sql: (query) => sql.answer(query),
      branchPlace: () => chooseFolder(`${bundle.manifest.config.name}-branch`, given.values.branches),
    });
    const stop = () => server.close();
    Deno.addSignalListener("SIGINT", stop);
    note(`Recording of ${traveler.end} instructions. In gdb: target remote ${shown}`);
    server.onClient = (what) => note(`gdb ${what}.`);
    try {
      await server.serve();
    } finally {
      Deno.removeSignalListener("SIGINT", stop);
    }
  } finally {
    sql.close();
    bundle.close();
  }
  return ExitCode.OK;
}
