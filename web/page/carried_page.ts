/**
 * A recording as one HTML file that opens from disk: the viewer, DuckDB, and the recording's tables inside.
 *
 * @module
 */
import { gzipSync } from "node:zlib";
import type { TraceSource } from "../../analysis/loader.ts";
import type { TraceSummary } from "../../analysis/summary.ts";
import { createTable, identifier, streamColumns, TABLE_COLUMNS, tableView } from "../../analysis/tables.ts";
import { loadViews } from "../../analysis/views.ts";
import type { Bundle } from "../../traces/bundle.ts";
import { packModel } from "../model/pack.ts";
import { BLOCKS, type CarriedSql, type CarriedTable, tableBlock } from "../model/payload.ts";
import { readModel } from "../read/read_model.ts";
import { loadAssets, packageFile, PageError } from "./assets.ts";
import { type Block, pageHtml } from "./html.ts";

/** Tables that are left out: what replay needs and no view reads. */
const LEFT_OUT = new Set(["pages", "checkpoints", "images", "seals"]);
/** Most exits and most bytes of tables that a file carries: browsers hold all of it in memory, several times. */
const EXITS_MAX = 3_000_000, TABLE_BYTES_MAX = 600 << 20;
const SCHEMA = "main", CODED = "main_coded";

/** The page, piece by piece. @throws PageError when the recording is too large for a file */
export async function carriedPage(
  bundle: Bundle,
  source: TraceSource,
  summary: TraceSummary,
  onProgress: (what: string) => void,
): Promise<Iterable<string>> {
  const names = [...new Set([...TABLE_COLUMNS.keys(), ...source.tables])].filter((t) => !LEFT_OUT.has(t));
  const bytes = summary.tables.reduce((n, t) => n + (LEFT_OUT.has(t.name) ? 0 : t.bytes), 0);
  if (summary.exits > EXITS_MAX || bytes > TABLE_BYTES_MAX) {
    throw new PageError(
      `The recording is too large for one file (${summary.exits} exits, at most ${EXITS_MAX}); ` +
        "look at it with `retrovisor serve TRACE` instead.",
    );
  }
  onProgress("making the page");
  const assets = await loadAssets("carried");
  return pageHtml(assets, "carried", blocks(bundle, source, summary, names, onProgress));
}

function* blocks(
  bundle: Bundle,
  source: TraceSource,
  summary: TraceSummary,
  names: readonly string[],
  onProgress: (what: string) => void,
): Generator<Block> {
  onProgress("reading the recording");
  const reading = readModel(bundle, source, summary);
  let step = reading.next();
  while (!step.done) step = reading.next();
  yield block(BLOCKS.model, packModel(step.value));
  const tables: CarriedTable[] = [];
  for (const name of names) {
    onProgress(`packing ${name}`);
    const streams = source.tables.includes(name) ? [...source.segments(name)] : [];
    tables.push(carriedTable(name, streams));
    yield block(tableBlock(name), joined(streams));
  }
  const views = [...loadViews().values()].map((v) => ({ ...v, columns: v.columns.map((c) => c.name) }));
  const setup = [SCHEMA, CODED].map((s) => `CREATE SCHEMA IF NOT EXISTS ${identifier(s)}`);
  const sql: CarriedSql = { setup: [...setup, ...leftOut()], tables, views };
  yield block(BLOCKS.sql, new TextEncoder().encode(JSON.stringify(sql)));
  onProgress("packing DuckDB");
  yield block(
    BLOCKS.worker,
    Deno.readFileSync(packageFile("@duckdb/duckdb-wasm/dist/duckdb-browser-eh.worker.js")),
  );
  yield block(BLOCKS.wasm, Deno.readFileSync(packageFile("@duckdb/duckdb-wasm/dist/duckdb-eh.wasm")));
}

/** How the session makes a table (see `analysis/loader.ts`), as statements. */
function carriedTable(name: string, streams: readonly Uint8Array[]): CarriedTable {
  const create = (enums: boolean): string[] => {
    const columns = streams.length > 0 ? streamColumns(name, streams[0], enums) : documented(name);
    const present = streams.length > 0 ? columns : [];
    return [createTable(identifier(CODED), name, columns), tableView(SCHEMA, CODED, name, present)];
  };
  return {
    name,
    create: create(true),
    createPlain: create(false),
    schema: CODED,
    table: name,
    streams: streams.map((s) => s.length),
  };
}

/** Tables that can be named and have no rows here. */
function leftOut(): string[] {
  return [...LEFT_OUT].flatMap((name) => {
    return [createTable(identifier(CODED), name, documented(name)), tableView(SCHEMA, CODED, name, [])];
  });
}

function documented(name: string) {
  return TABLE_COLUMNS.get(name) ?? [["icount", "UBIGINT"] as const];
}

function block(name: string, bytes: Uint8Array): Block {
  return { name, bytes: gzipSync(bytes, { level: 6 }) };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}
