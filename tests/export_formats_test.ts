/** Perfetto, Parquet and CTF, each read back by a reader that is not ours, with the counts of SQL. */
import { assert, assertEquals } from "@std/assert";
import protobuf from "protobufjs";
import { DuckDBInstance } from "@duckdb/node-api";
import type { ExportInput, Pieces } from "../analysis/export/exporter.ts";
import { type Format, FORMATS } from "../analysis/export/formats.ts";
import { parquetFile } from "../analysis/export/parquet.ts";
import { type Row, Session } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import { traceSummary } from "../analysis/summary.ts";
import { Bundle } from "../traces/bundle.ts";
import { MemoryStore } from "../traces/store.ts";
import { hasProgram } from "./programs.ts";
import { synthesize } from "./synthetic_trace.ts";

const EXITS = 12_000;
/** Text of a guest that would like to break out of every format. */
const HOSTILE = `x\u001b[2J";} \\ env { };\n%s'--`;
const store = new MemoryStore();
synthesize(store, { exits: EXITS, vcpus: 3, functions: 200, text: (kind, n) => `${kind} ${n} ${HOSTILE}\n` });
const bundle = Bundle.open(store);
const session = await Session.open(bundleSource(bundle));
const input: ExportInput = {
  session,
  summary: traceSummary(bundle),
  table: "exits",
  warn: (sentence) => {
    throw new Error(sentence);
  },
};

const format = (name: string) => FORMATS.find((f) => f.name === name) as Format;

async function bytesOf(pieces: Pieces): Promise<Uint8Array> {
  const blobs: BlobPart[] = [];
  for await (const p of pieces) blobs.push(typeof p === "string" ? p : p.slice());
  return new Uint8Array(await new Blob(blobs).arrayBuffer());
}

function counted(sql: string): [string, number][] {
  return session.records(sql).map((r) => [String(r.name), Number(r.n)]);
}

function tally(names: Iterable<string>): [string, number][] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => a < b ? -1 : 1);
}

/** Field names and numbers as Perfetto's protocol buffers define them (protos/perfetto/trace). */
const PERFETTO = `syntax = "proto2";
message Trace { repeated TracePacket packet = 1; }
message TracePacket { optional uint64 timestamp = 8; optional uint32 trusted_packet_sequence_id = 10;
  optional TrackEvent track_event = 11; optional InternedData interned_data = 12; optional uint32 sequence_flags = 13;
  optional TrackDescriptor track_descriptor = 60; }
message TrackDescriptor { optional uint64 uuid = 1; optional string name = 2; optional ProcessDescriptor process = 3;
  optional ThreadDescriptor thread = 4; optional uint64 parent_uuid = 5; optional CounterDescriptor counter = 8; }
message ProcessDescriptor { optional int32 pid = 1; optional string process_name = 6; }
message ThreadDescriptor { optional int32 pid = 1; optional int32 tid = 2; optional string thread_name = 5; }
message CounterDescriptor { optional int64 unit_multiplier = 4; }
message TrackEvent { repeated DebugAnnotation debug_annotations = 4; optional uint32 type = 9; optional uint64 name_iid = 10;
  optional uint64 track_uuid = 11; repeated string categories = 22; optional string name = 23;
  optional int64 counter_value = 30; }
message DebugAnnotation { optional uint64 name_iid = 1; optional uint64 uint_value = 3; optional string string_value = 6;
  optional uint64 pointer_value = 7; }
message InternedData { repeated EventName event_names = 2; repeated EventName debug_annotation_names = 3; }
message EventName { optional uint64 iid = 1; optional string name = 2; }`;

interface PerfettoEvent {
  type: number;
  nameIid?: number;
  name?: string;
  trackUuid: number;
  counterValue?: number;
  debugAnnotations?: { nameIid: number; stringValue?: string; uintValue?: number }[];
}
interface PerfettoPacket {
  timestamp?: number;
  trackEvent?: PerfettoEvent;
  internedData?: {
    eventNames?: { iid: number; name: string }[];
    debugAnnotationNames?: { iid: number; name: string }[];
  };
  trackDescriptor?: { uuid: number; name?: string; thread?: { threadName: string }; counter?: unknown };
}

async function perfettoPackets(): Promise<PerfettoPacket[]> {
  const type = protobuf.parse(PERFETTO).root.lookupType("Trace");
  const message = type.decode(await bytesOf(format("perfetto").write!(input)));
  // Nothing may be lost in decoding: a field that the schema does not know, or of another type, would be.
  const object = type.toObject(message, { longs: Number, bytes: String });
  return object.packet as PerfettoPacket[];
}

Deno.test("Perfetto traces hold every exit, halt, counter and console line, as protobufjs reads them", async () => {
  const packets = await perfettoPackets();
  const names = new Map<number, string>(), annotations = new Map<number, string>();
  const tracks = new Map<number, string>();
  const seen: string[] = [], functions: string[] = [], calls: string[] = [], console: string[] = [];
  const open = new Map<number, number>();
  let halted = 0, counters = 0;
  for (const p of packets) {
    for (const n of p.internedData?.eventNames ?? []) names.set(n.iid, n.name);
    for (const n of p.internedData?.debugAnnotationNames ?? []) annotations.set(n.iid, n.name);
    const d = p.trackDescriptor;
    if (d !== undefined) tracks.set(d.uuid, d.thread?.threadName ?? d.name ?? "");
    const e = p.trackEvent;
    if (e === undefined) continue;
    assert(tracks.has(e.trackUuid), "tracks are described before they are used");
    const of = (name: string) => e.debugAnnotations?.find((a) => annotations.get(a.nameIid) === name);
    if (e.type === 4) counters += e.counterValue ?? 0;
    else if (e.type === 1) open.set(e.trackUuid, p.timestamp!);
    else if (e.type === 2) halted += p.timestamp! - open.get(e.trackUuid)!;
    else if (tracks.get(e.trackUuid) === "console") console.push(e.name!);
    else {
      seen.push(names.get(e.nameIid!)!);
      functions.push(of("function")!.stringValue!);
      if (of("hypercall") !== undefined) calls.push(of("hypercall")!.stringValue!);
    }
  }
  assertEquals(seen.length, EXITS);
  assertEquals(tally(seen), counted("SELECT vm_exit AS name, samples AS n FROM exit_summary ORDER BY 1"));
  assertEquals(
    tally(functions),
    counted(
      "SELECT coalesce(function, '(unknown)') AS name, count(*) AS n FROM exit_functions GROUP BY 1 ORDER BY 1",
    ),
  );
  assertEquals(
    tally(calls),
    counted(
      "SELECT concat_ws(' ', name, subop_name) AS name, count(*) AS n FROM hypercalls GROUP BY 1 ORDER BY 1",
    ),
  );
  assertEquals(counters, EXITS);
  assertEquals(
    [halted],
    session.records("SELECT sum(halted_ns)::DOUBLE AS n FROM vcpu_state").map((r) => r.n),
  );
  assertEquals([...tracks.values()].filter((t) => t.startsWith("d1v")), ["d1v0", "d1v1", "d1v2"]);
  assert(console[0].startsWith("console 0 x\u001b"), console[0]);
});

Deno.test("Parquet files hold tables, views and queries, as native DuckDB reads them", async () => {
  const folder = await Deno.makeTempDir({ prefix: "retrovisor-parquet-" });
  const db = await DuckDBInstance.create(":memory:");
  const native = await db.connect();
  try {
    const read = async (sql: string) => {
      const reader = await native.runAndReadAll(sql);
      return reader.getRowObjects() as Row[];
    };
    for (
      const table of [
        "exits",
        "hypercalls",
        "samples",
        "console",
        "symbols",
        "exit_summary",
        "msrs",
        "inputs",
      ]
    ) {
      const file = `${folder}/${table}.parquet`;
      await Deno.writeFile(file, await bytesOf(format("parquet").write!({ ...input, table })));
      // Every column, text and lists included, by a digest that both engines compute.
      const { columns } = session.query(`SELECT * FROM ${table} LIMIT 0`);
      const digest = (c: string) => `count("${c}") AS "n_${c}", max(md5("${c}"::VARCHAR)) AS "h_${c}"`;
      const list = columns.map((c) => digest(c.name)).join(", ");
      assertEquals(
        await read(`SELECT ${list} FROM '${file}'`),
        session.records(`SELECT ${list} FROM ${table}`),
        table,
      );
    }
    const empty = `${folder}/empty.parquet`;
    await Deno.writeFile(
      empty,
      await bytesOf(parquetFile(session.arrow("SELECT rip, reason FROM exits WHERE seq < 0"))),
    );
    assertEquals(await read(`SELECT count(*)::INTEGER AS n, max(rip) AS rip FROM '${empty}'`), [{
      n: 0,
      rip: null,
    }]);
  } finally {
    native.closeSync();
    db.closeSync();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test({
  name: "CTF traces hold every exit, hypercall, interrupt and console line, as babeltrace2 reads them",
  ignore: !hasProgram("babeltrace2"),
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "retrovisor-ctf-" });
    try {
      for (const { name, pieces } of format("ctf").files!(input)) {
        await Deno.writeFile(`${folder}/${name}`, await bytesOf(pieces));
      }
      const { code, stdout, stderr } = await new Deno.Command("babeltrace2", { args: [folder] }).output();
      const text = new TextDecoder().decode(stdout);
      assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
      const lines = text.trimEnd().split("\n");
      const of = (name: string) => lines.filter((l) => l.includes(` ${name}: `));
      assertEquals(
        tally(of("kvm_x86_exit").map((l) => /exit_reason = \( "(\w+)" : /.exec(l)![1])),
        counted("SELECT vm_exit AS name, samples AS n FROM exit_summary ORDER BY 1"),
      );
      assertEquals(
        tally(of("kvm_x86_xen_hypercall").map((l) => /name = "(\w+)"/.exec(l)![1])),
        counted("SELECT name, sum(calls) AS n FROM hypercall_mix GROUP BY 1 ORDER BY 1"),
      );
      assertEquals(
        tally(of("kvm_x86_inj_virq").map((l) => /irq = (\d+)/.exec(l)![1])),
        counted("SELECT vector::VARCHAR AS name, count(*) AS n FROM interrupts GROUP BY 1 ORDER BY 1"),
      );
      assertEquals(
        [of("console").length],
        session.records("SELECT count(*)::INTEGER AS n FROM console").map((r) => r.n),
      );
      assertEquals(
        tally(of("kvm_x86_exit").map((l) => /cpu_id = (\d+)/.exec(l)![1])),
        counted("SELECT vcpu::VARCHAR AS name, count(*) AS n FROM exits GROUP BY 1 ORDER BY 1"),
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
