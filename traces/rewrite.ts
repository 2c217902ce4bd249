/**
 * Copies a recording with other inputs: what a forged or repaired one looks like. All checksums are right, so only
 * replay can tell.
 *
 * @module
 */
import type { Input } from "../core/inputs.ts";
import { Bundle } from "./bundle.ts";
import { tableFile } from "./bundle_writer.ts";
import { readInputs } from "./inputs_reader.ts";
import { encodeManifest, MANIFEST_FILE, type TableEntry } from "./manifest.ts";
import { tableSpec } from "./schema.ts";
import { SealWriter } from "./seals.ts";
import type { Store } from "./store.ts";
import { type Block, TableWriter } from "./writer.ts";

/** Appends one row to a writer of `inputs`. */
export function writeInput(t: TableWriter, i: Omit<Input, "seq">): void {
  const row = t.row;
  t.fixed("seq").setNumber(row, t.rows);
  t.fixed("icount").setNumber(row, i.icount);
  t.fixed("time_ns").setNumber(row, i.timeNs);
  t.fixed("vcpu").u16[row] = i.vcpu;
  t.fixed("kind").u16[row] = t.dictionary("kind").index(i.kind);
  t.variable("target").setText(row, i.target);
  t.variable("payload").set(row, i.payload);
  t.icount = i.icount;
  t.endRow();
}

/**
 * Copies a recording, its inputs changed by `edit`.
 * @throws TraceError when the recording is damaged; StorageError when the copy cannot be written
 */
export function rewriteInputs(from: Store, to: Store, edit: (inputs: Input[]) => Input[]): void {
  const bundle = Bundle.open(from);
  try {
    const blocks: Block[] = [];
    const entry: TableEntry = { bytes: 0, blocks: 0, rows: 0 };
    for (const t of bundle.tables()) {
      if (t.spec.name !== "inputs") blocks.push(...copyTable(t.spec.name, bundle, to));
    }
    const inputs = new TableWriter(tableSpec("inputs"), to.create(tableFile("inputs")), (b) => {
      blocks.push(b);
      entry.bytes += b.bytes;
      entry.blocks++;
      if (b.kind === "batch") entry.rows += b.rows;
    });
    for (const i of edit([...readInputs(bundle)])) writeInput(inputs, i);
    if (bundle.recovered) {
      inputs.flush();
      inputs.abandon();
    } else inputs.close();
    const seals = new SealWriter(to.create(tableFile("seals")));
    for (const b of blocks) seals.seal(b);
    seals.commit(bundle.icount);
    seals.close();
    const { manifest } = bundle, { closing } = manifest;
    if (closing !== null) {
      closing.inputs = entry.rows;
      closing.tables.inputs = entry;
      closing.seals = { bytes: seals.bytes, crc32c: seals.crc32c };
    }
    to.replace(MANIFEST_FILE, encodeManifest(manifest));
  } finally {
    bundle.close();
  }
}

/** Copies the blocks of a table. @returns their seals */
function copyTable(name: string, bundle: Bundle, to: Store): Block[] {
  const table = bundle.table(name), sink = to.create(tableFile(name));
  for (const b of table.blocks) sink.write(table.read(b));
  sink.close();
  return table.blocks;
}
