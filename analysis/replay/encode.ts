/**
 * Computed tables as Arrow streams for the SQL engine, with instructions disassembled (for display: iced-x86).
 *
 * @module
 */
import {
  Field,
  makeData,
  RecordBatch,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  Table,
  tableToIPC,
  Uint32,
  Uint64,
  Uint8,
  Utf8,
  vectorFromArray,
} from "apache-arrow";
import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from "iced-x86";
import type { ColumnType } from "../tables.ts";
import type { ComputedTable } from "./expand.ts";

/** Rows in a stream: what is copied into the engine at a time. */
const STREAM_ROWS = 1 << 19;

/** DuckDB types of the columns. */
export function rowColumns(table: ComputedTable): ColumnType[] {
  return table.columns.map(({ name, width }) => [
    name,
    { 8: "UTINYINT", 32: "UINTEGER", 64: "UBIGINT" }[width],
  ]);
}

/** The rows as complete Arrow IPC streams. */
export function* rowStreams(table: ComputedTable): Generator<Uint8Array> {
  const types = { 8: new Uint8(), 32: new Uint32(), 64: new Uint64() };
  const schema = new Schema(table.columns.map(({ name, width }) => new Field(name, types[width], false)));
  for (let from = 0; from < table.rows; from += STREAM_ROWS) {
    const length = Math.min(STREAM_ROWS, table.rows - from);
    const children = table.columns.map(({ width, data }) => {
      const words = width === 64 ? 2 : 1, part = data.slice(from * words, (from + length) * words);
      if (width === 8) return makeData({ type: new Uint8(), length, data: part as Uint8Array });
      if (width === 32) return makeData({ type: new Uint32(), length, data: part as Uint32Array });
      return makeData({
        type: new Uint64(),
        length,
        data: new BigUint64Array(part.buffer, part.byteOffset, length),
      });
    });
    const struct = makeData({ type: new Struct(schema.fields), length, nullCount: 0, children });
    const writer = new RecordBatchStreamWriter();
    writer.write(new RecordBatch(schema, struct));
    writer.finish();
    yield writer.toUint8Array(true);
  }
}

/** What the codes stand for, as a stream; instructions are disassembled. */
export function codesStream(table: string, codes: readonly string[]): Uint8Array {
  const texts = table === "instructions" ? disassembled(codes) : codes;
  return tableToIPC(
    new Table({
      code: vectorFromArray(codes.map((_, i) => i), new Uint32()),
      text: vectorFromArray(texts.map(String), new Utf8()),
    }),
    "stream",
  );
}

/** "MODE:RIP:BYTES" (hexadecimal but for the mode) as "BYTES:TEXT". */
export function disassembled(codes: readonly string[]): string[] {
  const formatter = new Formatter(FormatterSyntax.Nasm);
  try {
    return codes.map((code) => {
      const [mode, rip, hex] = code.split(":");
      const bytes = Uint8Array.from(hex.match(/../g) ?? [], (h) => parseInt(h, 16));
      const decoder = new Decoder(Number(mode), bytes, DecoderOptions.None);
      decoder.ip = BigInt(`0x${rip}`);
      const instruction = decoder.decode();
      const text = formatter.format(instruction);
      instruction.free();
      decoder.free();
      return `${hex}:${text}`;
    });
  } finally {
    formatter.free();
  }
}
