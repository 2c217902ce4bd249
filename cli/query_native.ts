/**
 * `retrovisor query --native`: the statements of a text asked of a native DuckDB.
 *
 * @module
 */
import { formatRows } from "../analysis/format.ts";
import type { TraceSource } from "../analysis/loader.ts";
import { NativeSession } from "../analysis/native.ts";
import { splitStatements } from "../analysis/statements.ts";
import { ExitCode, UsageError } from "./exit_code.ts";
import { removeQuietly } from "./files.ts";
import { BufferedOut } from "./io.ts";

/** Runs every statement. @returns exit code @throws UsageError for what needs the DuckDB that is built in */
export async function queryNative(
  sources: ReadonlyMap<string, TraceSource>,
  text: string,
  format: string,
): Promise<number> {
  const [source] = sources.values();
  if (sources.size > 1) throw new UsageError("--native asks one recording; leave the others out.");
  if (format !== "table" && format !== "json" && format !== "csv") {
    throw new UsageError(`--native writes no ${format}: use COPY (SELECT ...) TO 'FILE.parquet'.`);
  }
  const { complete, rest } = splitStatements(text);
  const statements = rest === "" ? complete : [...complete, rest];
  if (statements.length === 0) {
    throw new UsageError("--native needs SQL on the command line, in a file or on standard input.");
  }
  const { state } = Deno.permissions.querySync({ name: "ffi" });
  if (state !== "granted") {
    throw new UsageError("--native needs permission to load native code: deno task query:native TRACE SQL.");
  }
  const folder = await Deno.makeTempDir({ prefix: "retrovisor-native-" });
  try {
    const session = await NativeSession.open(source, folder);
    try {
      const buffer = new BufferedOut();
      for (const sql of statements) {
        for (const piece of formatRows(await session.query(sql), format)) buffer.write(piece);
      }
      buffer.flush();
    } finally {
      session.close();
    }
  } finally {
    removeQuietly(folder);
  }
  return ExitCode.OK;
}
