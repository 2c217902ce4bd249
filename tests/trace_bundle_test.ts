import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { Bundle } from "../traces/bundle.ts";
import { crc32c } from "../traces/crc32c.ts";
import { TraceError } from "../traces/errors.ts";
import { readInputs } from "../traces/inputs_reader.ts";
import { decodeManifest, encodeManifest, MANIFEST_FILE } from "../traces/manifest.ts";
import { TABLES } from "../traces/schema.ts";
import { readSeals } from "../traces/seals.ts";
import { MemoryStore } from "../traces/store.ts";
import { FAKE_CONFIG, FAKE_IMAGES } from "./trace_fake_machine.ts";
import { copyOf, recordFake, seeded } from "./trace_fixture.ts";

/** Reads every value of every table. @returns how many rows there were */
function readEverything(store: MemoryStore, verify = true): number {
  const bundle = Bundle.open(store, { verify });
  let rows = 0;
  for (const t of bundle.tables()) {
    for (const b of t.batches()) {
      for (let row = 0; row < b.rows; row++, rows++) {
        for (let c = 0; c < b.columns.length; c += 3) b.showAt(c, row);
      }
    }
  }
  bundle.images();
  for (const i of readInputs(bundle)) rows += i.payload.length & 0;
  return rows;
}

/** A small closed recording, made once. */
const SMALL = { ...FAKE_CONFIG, cmdline: "end=12000" };
let small: MemoryStore | null = null;
async function smallRecording(): Promise<MemoryStore> {
  if (small === null) {
    small = new MemoryStore();
    await recordFake(small, { checkpointInterval: 5000, commitInterval: 2000, batchRows: 30 }, SMALL);
  }
  return copyOf(small);
}

/** The same as it was before it was closed. */
async function unclosedRecording(): Promise<MemoryStore> {
  const store = await smallRecording();
  const manifest = decodeManifest(store.files.get(MANIFEST_FILE) ?? new Uint8Array());
  manifest.closing = null;
  store.files.set(MANIFEST_FILE, encodeManifest(manifest));
  return store;
}

Deno.test("crc32c gives the published check values at every alignment", () => {
  const text = new TextEncoder().encode("123456789");
  for (let at = 0; at < 9; at++) {
    const buffer = new Uint8Array(64);
    buffer.set(text, at);
    assertEquals(crc32c(buffer.subarray(at, at + 9)), 0xe3069283);
  }
  // RFC 3720, appendix B.4.
  assertEquals(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assertEquals(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assertEquals(crc32c(text.subarray(4), crc32c(text.subarray(0, 4))), 0xe3069283);
  // Longer than a step, of every length and alignment, against the definition bit by bit.
  const long = Uint8Array.from({ length: 96 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 13);
  for (let from = 0; from < 8; from++) {
    for (let to = from; to <= long.length; to++) {
      let c = -1;
      for (let bit = from * 8; bit < to * 8; bit++) {
        c = (c ^ long[bit >> 3] >> (bit & 7)) & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
      }
      assertEquals(crc32c(long.subarray(from, to)), ~c >>> 0, `${from} to ${to}`);
    }
  }
});

Deno.test("a closed bundle gives back its images, manifest and totals", async () => {
  const store = new MemoryStore();
  const run = await recordFake(store);
  const bundle = Bundle.open(store);
  assertEquals(bundle.recovered, false);
  assertEquals(bundle.notice, null);
  assertEquals(
    bundle.images().map((i) => [i.role, i.name, i.bytes]),
    FAKE_IMAGES.map((i) => [i.role, i.name, i.bytes]),
  );
  assertEquals(bundle.manifest.config, FAKE_CONFIG);
  assertEquals(bundle.manifest.closing?.stateHash, run.stateHash);
  assertEquals(bundle.table("exits").rows, run.exits);
  assertEquals(bundle.table("hypercalls").rows, run.hypercalls);
  assertEquals(bundle.icount, run.icount);
});

Deno.test("one flipped bit anywhere in a closed bundle is a TraceError naming its table", async () => {
  const seed = 20260101, random = seeded(seed);
  console.log(`seed ${seed}`);
  const original = await smallRecording();
  for (const [file, bytes] of original.files) {
    const everyBit = bytes.length < 400;
    const flips = everyBit ? bytes.length * 8 : 300;
    for (let n = 0; n < flips; n++) {
      const bit = everyBit ? n : random(bytes.length * 8);
      const store = copyOf(original);
      store.files.get(file)![bit >>> 3] ^= 1 << (bit & 7);
      const e = assertThrows(() => Bundle.open(store), TraceError);
      assertEquals(e.table, file.replace(/\.(arrows|json)$/, ""), `bit ${bit} of ${file}: ${e.message}`);
      assertEquals(e.exitCode, 4);
    }
  }
});

Deno.test("a flipped bit in a table is located at the block that holds it", async () => {
  const original = await smallRecording();
  const { blocks } = readSeals(original.files.get("seals.arrows") ?? new Uint8Array());
  for (const b of blocks.filter((b) => b.kind !== "commit").filter((_, i) => i % 7 === 0)) {
    const store = copyOf(original);
    store.files.get(`${b.table}.arrows`)![b.offset + (b.bytes >>> 1)] ^= 16;
    const e = assertThrows(() => Bundle.open(store), TraceError);
    assertEquals([e.table, e.batch, e.offset], [b.table, b.batch, b.offset]);
  }
});

Deno.test("a flipped bit in the committed part of an unclosed bundle is a TraceError", async () => {
  const seed = 7, random = seeded(seed);
  console.log(`seed ${seed}`);
  const original = await unclosedRecording();
  const { wholeBytes } = readSeals(original.files.get("seals.arrows") ?? new Uint8Array());
  for (let n = 0; n < 400; n++) {
    const store = copyOf(original), files = [...store.files.keys()];
    const file = files[random(files.length)], bytes = store.files.get(file)!;
    const bit = random((file === "seals.arrows" ? wholeBytes : bytes.length) * 8);
    bytes[bit >>> 3] ^= 1 << (bit & 7);
    assertThrows(() => Bundle.open(store), TraceError);
  }
});

Deno.test("a recording cut anywhere opens up to its last commit, with whole tables", async () => {
  const seed = 99, random = seeded(seed);
  console.log(`seed ${seed}`);
  const original = await unclosedRecording();
  const full = Bundle.open(original);
  let recovered = 0, empty = 0;
  for (let n = 0; n < 400; n++) {
    const store = copyOf(original), files = [...store.files.keys()].filter((f) => f !== MANIFEST_FILE);
    for (let cuts = 1 + random(3); cuts > 0; cuts--) {
      const file = files[random(files.length)], bytes = store.files.get(file)!;
      store.files.set(file, bytes.slice(0, random(bytes.length + 1)));
    }
    try {
      const bundle = Bundle.open(store);
      recovered++;
      assert(bundle.recovered && bundle.notice?.includes(`icount ${bundle.icount} `));
      readEverything(store);
      for (const b of bundle.table("exits").batches()) {
        for (let row = 0; row < b.rows; row++) assert(b.number("icount", row) <= bundle.icount);
      }
      assert(bundle.table("exits").rows <= full.table("exits").rows);
    } catch (e) {
      assert(e instanceof TraceError, String(e));
      assert(e.message.includes("before its first whole batch"), e.message);
      empty++;
    }
  }
  assertGreater(recovered, 100);
  assertGreater(empty, 10);
});

Deno.test("a closed bundle whose table was cut is a TraceError, not a shorter recording", async () => {
  const original = await smallRecording();
  for (const file of original.files.keys()) {
    for (const keep of [0, 0.3, 0.999]) {
      const store = copyOf(original), bytes = store.files.get(file)!;
      store.files.set(file, bytes.slice(0, Math.floor(bytes.length * keep)));
      const e = assertThrows(() => Bundle.open(store), TraceError);
      assertEquals(e.table, file.replace(/\.(arrows|json)$/, ""));
    }
    const store = copyOf(original);
    store.files.delete(file);
    assertThrows(() => Bundle.open(store), TraceError);
  }
});

Deno.test("a full disk ends the recording and not the run, and what is there opens", async () => {
  const whole = new MemoryStore(), options = { checkpointInterval: 0, commitInterval: 5000 };
  await recordFake(whole, options);
  const bytes = [...whole.files.values()].reduce((n, f) => n + f.length, 0);
  for (const part of [0.999, 0.9, 0.7, 0.5]) {
    const store = new MemoryStore(Math.floor(bytes * part));
    const run = await recordFake(store, options);
    assertEquals(run.outcome.kind, "poweroff");
    assertEquals(run.stateHash, null);
    assert(/^Recording stopped at icount \d+ because .*No space left.*\.$/.test(run.recordingStopped ?? ""));
    const bundle = Bundle.open(store);
    assert(bundle.recovered);
    assert(bundle.icount <= run.icount);
    // What does not fit here is the pages of the last checkpoint: the events before it do.
    if (part === 0.999) assertEquals([bundle.icount, bundle.table("exits").rows], [run.icount, run.exits]);
  }
});

Deno.test("10,000 mutations of a bundle end in a clean result or a TraceError, bounded in memory", async () => {
  const seed = 4242, random = seeded(seed);
  console.log(`seed ${seed}`);
  const closed = await smallRecording(), unclosed = await unclosedRecording();
  const outcomes = { clean: 0, error: 0 };
  const before = Deno.memoryUsage().rss;
  for (let n = 0; n < 10_000; n++) {
    const store = mutate(copyOf(n % 2 ? closed : unclosed), random);
    try {
      readEverything(store, n % 3 !== 0);
      outcomes.clean++;
    } catch (e) {
      assert(e instanceof TraceError, `mutation ${n}: ${e instanceof Error ? e.stack : e}`);
      assert(/^[A-Z][^\n]*\.$/.test(e.message), e.message);
      outcomes.error++;
    }
  }
  console.log(outcomes);
  assertGreater(outcomes.clean, 100);
  assertGreater(outcomes.error, 5000);
  assert(Deno.memoryUsage().rss - before < 600e6);
});

/** Damages a bundle: bits, runs of bytes, lengths, whole files; sometimes with the block's seal put right. */
function mutate(store: MemoryStore, random: (n: number) => number): MemoryStore {
  const files = [...store.files.keys()];
  for (let count = 1 + random(3); count > 0; count--) {
    const file = files[random(files.length)], bytes = store.files.get(file) ?? new Uint8Array();
    if (bytes.length === 0) continue;
    const at = random(bytes.length);
    switch (random(7)) {
      case 0:
        bytes[at] ^= 1 << random(8);
        break;
      case 1:
        for (let i = at; i < Math.min(bytes.length, at + random(64)); i++) bytes[i] = random(256);
        break;
      case 2:
        store.files.set(file, bytes.slice(0, at));
        break;
      case 3:
        store.files.set(file, Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(random(at + 1))]));
        break;
      case 4:
        bytes.set(
          bytes.slice(at, at + 32),
          Math.min(random(bytes.length), bytes.length - Math.min(32, bytes.length - at)),
        );
        break;
      case 5:
        store.files.set(file, store.files.get(files[random(files.length)])?.slice() ?? bytes);
        break;
      default:
        forge(store, random);
    }
  }
  return store;
}

/** Changes a block of a table and makes its checksum right in an unclosed bundle, so that decoding meets the damage. */
function forge(store: MemoryStore, random: (n: number) => number): void {
  const name = TABLES[random(TABLES.length)].name, table = store.files.get(`${name}.arrows`);
  const seals = store.files.get("seals.arrows");
  if (table === undefined || seals === undefined) return;
  let read;
  try {
    read = readSeals(seals);
  } catch {
    return;
  }
  const sealed = read.blocks.filter((b) =>
    b.table === name && b.offset + b.bytes <= table.length && b.bytes > 0
  );
  if (sealed.length === 0) return;
  const b = sealed[random(sealed.length)], block = table.subarray(b.offset, b.offset + b.bytes);
  // Metadata and lengths are at the front: aim there more often than not.
  for (let n = 1 + random(4); n > 0; n--) {
    block[random(random(2) ? block.length : Math.min(900, block.length))] = random(256);
  }
  const rowBytes = (read.wholeBytes - sealHeader(seals, read.blocks.length)) / read.blocks.length;
  const at = sealHeader(seals, read.blocks.length) + read.blocks.indexOf(b) * rowBytes;
  const row = seals.subarray(at, at + rowBytes), v = new DataView(row.buffer, row.byteOffset, row.length);
  // The last three columns, 8 bytes each: crc32c, icount, seal_crc32c.
  v.setUint32(rowBytes - 24, crc32c(block), true);
  v.setUint32(rowBytes - 8, 0, true);
  v.setUint32(rowBytes - 8, crc32c(row), true);
}

function sealHeader(seals: Uint8Array, rows: number): number {
  // A row is as long as the distance of two continuation markers near the end of the whole rows.
  const { wholeBytes } = readSeals(seals);
  const v = new DataView(seals.buffer, seals.byteOffset, seals.length);
  let rowBytes = 8;
  while (v.getUint32(wholeBytes - rowBytes, true) !== 0xffffffff) rowBytes += 8;
  return wholeBytes - rows * rowBytes;
}
