import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Profile } from "pprof-format";
import { gunzipSync } from "node:zlib";
import { type Format, FORMATS } from "../analysis/export/formats.ts";
import { Message } from "../analysis/export/protobuf.ts";
import { Session } from "../analysis/session.ts";
import type { TraceSummary } from "../analysis/summary.ts";
import { encodeTable, fixture, FixtureSource, SYMBOLS } from "./analysis_fixture.ts";
import { runIn } from "./cli_fixture.ts";
import { selfWeights, speedscopeReaders } from "./speedscope_reader.ts";

const HOSTILE = `a;b\u001b[2J\n"</script>`;
/** The fixture with a stack sampled at its first exit, an unknown reason, and a function with a hostile name. */
const source = new FixtureSource({
  ...fixture().content,
  samples: [encodeTable("samples", [
    { icount: 100, vcpu: 0, rip: 0x1000, cr3: 0, cpl: 0, stack: [0x2004n, 0x1050n] },
  ])],
  symbols: [encodeTable("symbols", [
    ...SYMBOLS,
    { start: 0x9000, size: 0x10, name: HOSTILE, module: "kernel", source: "elf" },
  ])],
});
const session = await Session.open(source);
const summary = {
  guest: "fixture",
  time_ns: 5300,
  config: { vcpus: 2, tscKhz: 1_000_000 },
} as unknown as TraceSummary;
const readers = await speedscopeReaders();

/** Everything an exporter writes. */
function written(name: string, table = "exits", from = session): Uint8Array<ArrayBuffer> {
  const format = FORMATS.find((f) => f.name === name) as Format;
  const warn = (sentence: string) => {
    throw new Error(sentence);
  };
  const pieces = [...format.write!({ session: from, summary, table, warn }) as Iterable<string | Uint8Array>];
  const encoder = new TextEncoder();
  const parts = pieces.map((p) => typeof p === "string" ? encoder.encode(p) : p);
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

const text = (name: string, table?: string) => new TextDecoder().decode(written(name, table));

/** Exits by reason as SQL counts them. */
const REASONS = new Map(
  session.records("SELECT vm_exit, samples FROM exit_summary").map((r) =>
    [String(r.vm_exit), Number(r.samples)] as [string, number]
  ),
);

function reasonsOf(weights: Map<string, number>): [string, number][] {
  return [...weights].filter(([name]) => name.startsWith("VMEXIT_")).sort();
}

Deno.test("folded stacks have callers, function and reason, and add up", () => {
  const lines = text("folded").trimEnd().split("\n");
  assert(lines.includes("d1v0;(unknown);main;probe;VMEXIT_CPUID 1"), lines.join("\n"));
  assert(lines.includes("d1v0;probe;VMEXIT_CPUID 1"));
  assert(lines.includes(`d1v1;a:b\\x1b[2J\\n"</script>;VMEXIT_HLT 1`));
  assertEquals(lines.reduce((n, l) => n + Number(l.slice(l.lastIndexOf(" "))), 0), 19);
});

Deno.test("speedscope's readers see the counts of SQL in its own format, in folded stacks and in pprof", async () => {
  const expected = [...REASONS].sort();
  assertEquals(expected.length, 10);
  const own = await readers.importProfileGroupFromText("x.speedscope.json", text("speedscope"));
  assertEquals(own?.profiles.map((p) => [p.getName(), p.getTotalWeight()]), [["d1v0 exits", 18], [
    "d1v1 exits",
    1,
  ]]);
  assertEquals(reasonsOf(selfWeights(own)), expected);
  const folded = await readers.importProfileGroupFromText("x.collapsedstack.txt", text("folded"));
  assertEquals(reasonsOf(selfWeights(folded)), expected);
  const pprof = await readers.importProfilesFromArrayBuffer("x", written("pprof").buffer);
  assertEquals(reasonsOf(selfWeights(pprof)), expected);
  let main = 0;
  own?.profiles[0].forEachFrame((f) => main += f.name === "main" ? f.getTotalWeight() : 0);
  const [sql] = session.records("SELECT count(*) AS n FROM exit_functions WHERE function = 'main'");
  assertEquals(main, Number(sql.n) + 1, "the sampled stack adds main as a caller");
});

Deno.test("pprof-format reads the pprof profile", () => {
  const profile = Profile.decode(gunzipSync(written("pprof")));
  const word = (i: number | bigint) => profile.stringTable.strings[Number(i)];
  assertEquals(profile.sampleType.map((t) => [word(t.type), word(t.unit)]), [["exits", "count"]]);
  const name = (id: number | bigint) => {
    const location = profile.location.find((l) => l.id === id);
    return word(profile.function.find((f) => f.id === location?.line[0].functionId)?.name ?? 0);
  };
  const stacks = profile.sample.map((s) => [s.locationId.map(name).join("<"), Number(s.value[0])]);
  assert(stacks.some(([s, n]) => s === "VMEXIT_CPUID<probe<main<(unknown)" && n === 1), stacks.join("\n"));
  assertEquals(profile.sample.reduce((n, s) => n + Number(s.value[0]), 0), 19);
  assertEquals(profile.sample.filter((s) => word(s.label[0].str) === "d1v1").length, 1);
});

Deno.test("Chrome's trace has every exit once, halts, counters that return to 0, and the console by line", async () => {
  const json = text("chrome");
  interface Event {
    ph: string;
    name: string;
    cat?: string;
    tid: number;
    ts: number;
    dur?: number;
    args: Record<string, unknown>;
  }
  const { traceEvents: all } = JSON.parse(json) as { traceEvents: Event[] };
  const counts = new Map<string, number>();
  for (const e of all.filter((e) => e.cat === "exit")) counts.set(e.name, (counts.get(e.name) ?? 0) + 1);
  assertEquals([...counts].sort(), [...REASONS].sort());
  const halts = all.filter((e) => e.ph === "X");
  assertEquals(halts.map((e) => [e.tid, e.ts, e.dur]), [[1, 1.2, 4]]);
  const console = all.filter((e) => e.cat === "console").map((e) => [e.name, e.ts, e.args.device]);
  assertEquals(console, [["hello", 0.7, "xen"], ["A", 0.75, "uart0"]]);
  const counted = all.filter((e) => e.ph === "C" && e.name === "VMEXIT_HLT per ms");
  assertEquals(counted.map((e) => [e.ts, e.args.exits]), [[0, 2], [1000, 0]]);
  const call = all.find((e) => e.name === "VMEXIT_VMMCALL");
  assertEquals([call?.args.hypercall, call?.args.function, call?.args.rip], [
    "console_io write",
    "main",
    "0x2000",
  ]);
  assertEquals((await readers.importProfileGroupFromText("x.json", json))?.profiles.length, 1);
});

Deno.test("no text format lets guest text control a terminal", () => {
  for (const name of ["chrome", "speedscope", "folded"]) {
    // deno-lint-ignore no-control-regex
    assert(!/[\u0000-\u0009\u000b-\u001f]/.test(text(name)), name);
  }
  assertStringIncludes(text("csv", "function_exits"), `"a;b\\x1b[2J\n""</script>",VMEXIT_HLT,1`);
});

Deno.test("csv holds a table", () => {
  const lines = text("csv").trimEnd().split("\n");
  assertEquals(lines.length, 20);
  assertMatch(lines[0], /^seq,icount,time_ns,domid,vcpu,reason,/);
});

Deno.test("xentrace records are as long as they say, and hold every exit", () => {
  const bytes = written("xentrace");
  const view = new DataView(bytes.buffer);
  const word = (at: number) => view.getUint32(at, true);
  const counts = new Map<number, number>();
  const states: string[] = [];
  let cpu = -1, windowEnd = 0, last = 0n, at = 0;
  while (at < bytes.length) {
    const header = word(at),
      event = header & 0x0fff_ffff,
      extra = header >>> 28 & 7,
      timed = header >>> 31 === 1;
    const data = at + (timed ? 12 : 4);
    if (event === 0x1f003) {
      assertEquals(at, windowEnd);
      cpu = word(data);
      windowEnd = data + 8 + word(data + 4);
      last = 0n;
    }
    if (timed) {
      const tsc = view.getBigUint64(at + 4, true);
      assert(tsc >= last && tsc > 0n);
      last = tsc;
    }
    if (event === 0x81102 || event === 0x81002) {
      assertEquals(extra, event === 0x81102 ? 3 : 2);
      counts.set(word(data), (counts.get(word(data)) ?? 0) + 1);
    }
    if ((event & ~0xff0) === 0x21001) states.push(`p${cpu}: ${event >> 8 & 15}->${event >> 4 & 15} @${last}`);
    at = data + extra * 4;
  }
  assertEquals([at, windowEnd], [bytes.length, bytes.length]);
  const sql = session.records("SELECT reason_code AS c, count(*) AS n FROM exits GROUP BY c");
  assertEquals([...counts].sort(), sql.map((r) => [Number(r.c), Number(r.n)]).sort());
  assertEquals(states.filter((s) => s.startsWith("p1")).at(-1), "p1: 1->0 @5301");
});

Deno.test("protocol buffer fields are as the encoding's documentation shows them", () => {
  const hex = (m: Message) => m.bytes().toHex();
  assertEquals(hex(new Message().int(1, 150)), "089601");
  assertEquals(hex(new Message().text(2, "testing")), "120774657374696e67");
  assertEquals(hex(new Message().message(3, new Message().int(1, 150))), "1a03089601");
  assertEquals(hex(new Message().int(1, -2)), "08feffffffffffffffff01");
  assertEquals(hex(new Message().packed(6, [3, 270, 86942])), "3206038e029ea705");
  assertEquals(hex(new Message().fixed64(1, 1n)), "090100000000000000");
  assertEquals(hex(new Message().int(1, 2n ** 31n)), "088080808008");
  assertEquals(new Message().text(1, "x".repeat(1000)).bytes().length, 1003);
});

Deno.test("export writes whole files or none, and only what it knows", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const run = await runIn(folder, ["run", "--output", "demo.trace", "--epoch", "1000000000"]);
    assertEquals(run.code, 0, run.err);
    const to = (...args: string[]) => runIn(folder, ["export", "demo.trace", ...args]);
    const csv = await to("--to", "csv", "--table", "exit_summary", "-o", "-");
    assertEquals([csv.code, csv.err], [0, ""]);
    const sum = csv.out.trimEnd().split("\n").slice(1).reduce((n, l) => n + Number(l.split(",")[1]), 0);
    assertEquals((await to("--to", "folded", "-o", "f.folded")).code, 0);
    const folded = await Deno.readTextFile(`${folder}/f.folded`);
    assertEquals(folded.trimEnd().split("\n").reduce((n, l) => n + Number(l.split(" ").at(-1)), 0), sum);
    for (
      const wrong of [
        ["--to", "excel", "-o", "x"],
        ["--to", "csv"],
        ["--to", "csv", "-o", "x", "--table", "exits; DROP TABLE exits"],
        ["--to", "pprof", "-o", "x", "--table", "exits"],
        ["--to", "folded", "-o", "missing/x"],
      ]
    ) {
      const r = await to(...wrong);
      assertEquals(r.code, 2, r.err);
      assertMatch(r.err, /^retrovisor: [^\n]+\n$/);
    }
    assertEquals([...Deno.readDirSync(folder)].map((e) => e.name).sort(), ["demo.trace", "f.folded"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
