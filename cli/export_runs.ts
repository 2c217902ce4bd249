/**
 * `retrovisor export --partition`: whole recordings as folders `run=NAME` of Parquet files, which many engines read as one
 * set of tables.
 *
 * @module
 */
import { parquetFile } from "../analysis/export/parquet.ts";
import type { Format } from "../analysis/export/formats.ts";
import { FLEET_TABLES, fleetQuery, isRunName } from "../analysis/fleet/tables.ts";
import { Session } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import { harmless, plural } from "../analysis/text.ts";
import { ExitCode, UsageError } from "./exit_code.ts";
import { removeQuietly, writeAsync } from "./files.ts";
import { note } from "./io.ts";
import { TextLine } from "./progress.ts";
import { openBundle, tracePath } from "./trace_args.ts";
import type { Given } from "./verb.ts";

/** Exports every recording that is named into `folder`. @returns exit code */
export async function exportRuns(given: Given, format: Format, folder: string): Promise<number> {
  if (format.name !== "parquet") throw new UsageError("--partition is for --to parquet.");
  if (folder === "-") throw new UsageError("--partition writes a folder, not standard output.");
  if (given.values.table !== undefined) {
    throw new UsageError("--partition writes all tables; leave --table out.");
  }
  const runs = runNames(given);
  for (const { run } of runs) {
    if (exists(`${folder}/run=${run}`)) {
      throw new UsageError(
        `Cannot write ${folder}/run=${run}: it is there already; give the run another name (--run).`,
      );
    }
  }
  Deno.mkdirSync(folder, { recursive: true });
  const progress = new TextLine();
  let session: Session | null = null;
  try {
    for (const [i, { path, run }] of runs.entries()) {
      progress.update(() => `${i} of ${plural(runs.length, "run")}`);
      const bundle = openBundle(path);
      try {
        const source = bundleSource(bundle);
        if (session === null) session = await Session.open(source);
        else session.replace(source);
        await exportRun(session, run, `${folder}/run=${run}`);
      } finally {
        bundle.close();
      }
    }
  } finally {
    progress.clear();
    session?.close();
  }
  note(
    `retrovisor: wrote ${plural(runs.length, "run")} to ${
      harmless(folder)
    }; docs/fleet.md says how to ask them.`,
  );
  return ExitCode.OK;
}

/** A new folder, then its name: a run is whole or not there. */
async function exportRun(session: Session, run: string, folder: string): Promise<void> {
  // Readers take run=*: what is being written is called otherwise.
  const draft = folder.replace(/run=([^/]*)$/, "partial-$1");
  removeQuietly(draft);
  Deno.mkdirSync(draft);
  try {
    for (const table of FLEET_TABLES) {
      await writeAsync(`${draft}/${table.name}.parquet`, parquetFile(session.arrow(fleetQuery(table, run))));
    }
    Deno.renameSync(draft, folder);
  } catch (error) {
    removeQuietly(draft);
    throw error;
  }
}

function runNames(given: Given): { path: string; run: string }[] {
  const { args, values } = given;
  if (args.length === 0) tracePath(given, "export");
  if (values.run !== undefined && args.length > 1) {
    throw new UsageError(`--run names one run, and there are ${args.length} recordings.`);
  }
  const runs = args.map((arg) => {
    const path = tracePath({ ...given, args: [arg] }, "export");
    const run = values.run ?? path.replace(/\/+$/, "").replace(/^.*\//, "").replace(/\.trace$/, "");
    if (!isRunName(run)) {
      throw new UsageError(
        `Cannot name a run "${run}": letters, digits, dots, dashes and underscores will do (--run NAME).`,
      );
    }
    return { path, run };
  });
  const twice = runs.find((r, i) => runs.findIndex((o) => o.run === r.run) !== i);
  if (twice !== undefined) {
    throw new UsageError(`Two recordings would be run ${twice.run}; export them one by one with --run.`);
  }
  return runs;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
