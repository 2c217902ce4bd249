import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { tableFromIPC } from "apache-arrow";
import { ExitEvent } from "../core/exits.ts";
import { ExitWriter } from "../replay/exit_writer.ts";
import { consoleText } from "../replay/event_writer.ts";
import { MAX_DICTIONARY_VALUES } from "../traces/columns.ts";
import { OTHER_NAME, tableSpec } from "../traces/schema.ts";
import { MemoryStore } from "../traces/store.ts";
import { type Block, TableWriter } from "../traces/writer.ts";

function writer(table: string, rows?: number): { w: TableWriter; bytes: () => Uint8Array; blocks: Block[] } {
  const store = new MemoryStore(), blocks: Block[] = [];
  const w = new TableWriter(tableSpec(table), store.create("t"), (b) => blocks.push(b), rows);
  return { w, blocks, bytes: () => store.files.get("t") ?? new Uint8Array() };
}

Deno.test("blocks tile the file without a gap", () => {
  const { w, blocks, bytes } = writer("console", 4);
  for (let i = 0; i < 10; i++) {
    w.fixed("icount").setNumber(w.row, i);
    w.fixed("device").u16[w.row] = w.dictionary("device").index(`d${i % 3}`);
    w.variable("text").setText(w.row, "x".repeat(i));
    w.endRow();
  }
  w.close();
  let at = 0;
  for (const b of blocks) {
    assertEquals(b.offset, at);
    at += b.bytes;
  }
  assertEquals(at, bytes().length);
  assertEquals(blocks.map((b) => `${b.kind} ${b.rows}`), [
    "schema 0",
    "dictionary 3",
    "batch 4",
    "batch 4",
    "batch 2",
    "end 0",
  ]);
});

Deno.test("64-bit columns keep every bit of a number up to 2^53 and of any two words", () => {
  const { w, bytes } = writer("symbols");
  const values = [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 52 + 3, Number.MAX_SAFE_INTEGER];
  for (const v of values) {
    w.fixed("start").setNumber(w.row, v);
    w.fixed("size").setWords(w.row, 0xffff_fffe, 0x8000_0001);
    w.variable("name").setText(w.row, "");
    w.endRow();
  }
  w.flush();
  const t = tableFromIPC(bytes());
  assertEquals(values.map((_, i) => t.getChild("start")?.get(i)), values.map(BigInt));
  assertEquals(t.getChild("size")?.get(0), 0x8000_0001_ffff_fffen);
});

Deno.test("an open dictionary is bounded in number and length of its values", () => {
  const { w, bytes } = writer("console");
  for (let i = 0; i < MAX_DICTIONARY_VALUES + 500; i++) {
    w.fixed("device").u16[w.row] = w.dictionary("device").index(i === 9 ? "n".repeat(200) : `name ${i}`);
    w.variable("text").setText(w.row, "");
    w.endRow();
  }
  w.flush();
  const device = tableFromIPC(bytes()).getChild("device");
  assertEquals([device?.get(8), device?.get(9), device?.get(10)], ["name 8", OTHER_NAME, "name 10"]);
  assertEquals(device?.get(MAX_DICTIONARY_VALUES + 400), OTHER_NAME);
});

Deno.test("long values end a batch early", () => {
  const { w, blocks } = writer("inputs");
  for (let i = 0; i < 12; i++) {
    w.variable("target").setText(w.row, "t");
    w.variable("payload").set(w.row, new Uint8Array(1 << 20));
    w.endRow();
  }
  w.flush();
  assertGreater(blocks.filter((b) => b.kind === "batch").length, 1);
  assert(blocks.every((b) => b.bytes < 8e6));
});

Deno.test("guest output that is not UTF-8 is kept byte by byte", () => {
  assertEquals(consoleText(new TextEncoder().encode("naïve ✓")), "naïve ✓");
  assertEquals(consoleText(Uint8Array.of(0x41, 0xff, 0x80)), "A\u00ff\u0080");
  assertEquals(consoleText(new Uint8Array(100_000).fill(65)).length, 100_000);
});

Deno.test("a batch size that cannot be is refused", () => {
  for (const rows of [0, -1, 1.5, 2 ** 21, NaN]) assertThrows(() => writer("exits", rows), RangeError);
});

Deno.test("exits are written at well over a million a second", () => {
  const sink = { write() {}, close() {} };
  const exits = new ExitWriter(new TableWriter(tableSpec("exits"), sink, () => {}));
  const e = new ExitEvent(), count = 500_000;
  let best = Infinity;
  for (let round = 0; round < 4; round++) {
    const started = performance.now();
    for (let i = 0; i < count; i++) {
      e.reset();
      e.seq = e.icount = e.timeNs = i;
      e.reason = 0x7b;
      e.set(0, i, 0);
      e.set(2, i, 1);
      e.set(3, 4096, 0);
      if (i & 1) e.set(9, 1, 0);
      exits.write(e);
    }
    best = Math.min(best, (performance.now() - started) * 1e6 / count);
  }
  console.log(`${best.toFixed(0)} ns an exit, checksum included`);
  assert(best < 1000, `${best} ns an exit`);
});
