/**
 * `retrovisor load`: exported runs on ClickHouse servers, or as a script for DuckDB.
 *
 * @module
 */
import { ClickHouse } from "../analysis/fleet/clickhouse.ts";
import { loadRuns, runsIn } from "../analysis/fleet/load.ts";
import { duckdbScript, fleetViews } from "../analysis/fleet/views.ts";
import { alignColumns, grouped, plural } from "../analysis/text.ts";
import { ExitCode, UsageError } from "./exit_code.ts";
import { note, print } from "./io.ts";
import { suggestion } from "./nearest.ts";
import { TextLine } from "./progress.ts";
import type { Given, Verb } from "./verb.ts";

const TARGETS = ["clickhouse", "duckdb"] as const;
const CLUSTER = "retrovisor";

/** The verb. */
export const loadVerb: Verb = {
  name: "load",
  summary: "Ask many recordings as one: load exported runs into a database.",
  usage: "RUNS --to clickhouse URL ... | RUNS --to duckdb",
  options: [
    {
      name: "to",
      value: "ENGINE",
      help: "clickhouse (servers at the URLs), or duckdb (prints a script for it).",
    },
    {
      name: "cluster",
      value: "NAME",
      help: `Name of the servers' cluster in their configuration (default ${CLUSTER}).`,
    },
  ],
  notes: `
RUNS is a folder that \`retrovisor export TRACE ... --to parquet --partition -o RUNS\` wrote. Runs that are there already are
left alone; what a load that was cut left behind is removed first. With several URLs each run lies whole on one server, and
tables and views on each of them cover all. Tables: runs, exits, hypercalls, interrupts, samples, console. Views, the same
text for both engines:

${alignColumns(fleetViews().map((v) => [`  ${v.signature}`, v.summary]), [false, false]).join("\n")}`,
  examples: [
    ["load runs --to clickhouse http://127.0.0.1:8123", "One server."],
    [
      "load runs --to clickhouse http://10.0.0.1:8123 http://10.0.0.2:8123",
      "Two; docs/fleet.md has their configuration.",
    ],
    ["load runs --to duckdb > fleet.sql && duckdb -init fleet.sql", "DuckDB over the folder itself."],
  ],
  run: load,
};

async function load(given: Given): Promise<number> {
  const [folder, ...urls] = given.args;
  const to = given.values.to;
  const target = TARGETS.find((t) => t === to);
  if (target === undefined) {
    if (to === undefined) throw new UsageError("load needs an engine: --to clickhouse URL, or --to duckdb.");
    throw new UsageError(`There is no engine "${to}"${suggestion(to, TARGETS)}`);
  }
  if (folder === undefined) {
    throw new UsageError("load needs a folder of runs: retrovisor load RUNS --to clickhouse URL.");
  }
  if (target === "duckdb") {
    if (urls.length > 0) throw new UsageError("DuckDB has no servers: retrovisor load RUNS --to duckdb.");
    runsIn(folder);
    print(duckdbScript(folder).map((s) => `${s};\n`).join(""));
    return ExitCode.OK;
  }
  const cluster = given.values.cluster ?? CLUSTER;
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(cluster)) {
    throw new UsageError(`A cluster cannot be called "${cluster}".`);
  }
  if (urls.length === 0) {
    throw new UsageError(
      `load needs a server: retrovisor load ${folder} --to clickhouse http://127.0.0.1:8123.`,
    );
  }
  const progress = new TextLine();
  const servers = urls.map((url) => new ClickHouse(url));
  try {
    const onRun = (done: number, all: number) => progress.update(() => `${done} of ${plural(all, "run")}`);
    const { loaded, present, removed, rows } = await loadRuns(folder, servers, { cluster, onRun });
    progress.clear();
    if (removed > 0) {
      note(`retrovisor: removed what was left of ${plural(removed, "run")} whose load was cut.`);
    }
    note(
      `retrovisor: loaded ${plural(loaded, "run")}, ${grouped(rows)} rows, onto ${
        plural(servers.length, "server")
      }` +
        `${
          present > 0 ? `; ${grouped(present)} were there` : ""
        }. Try: SELECT * FROM retrovisor.exit_summary`,
    );
  } finally {
    progress.clear();
  }
  return ExitCode.OK;
}
