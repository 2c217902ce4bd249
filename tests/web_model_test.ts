import { assert, assertEquals } from "@std/assert";
import { exitStacks, UNKNOWN } from "../analysis/export/stacks.ts";
import { Session } from "../analysis/session.ts";
import { bundleSource } from "../analysis/source.ts";
import { traceSummary } from "../analysis/summary.ts";
import { Bundle } from "../traces/bundle.ts";
import { MemoryStore } from "../traces/store.ts";
import { labelName } from "../web/model/data.ts";
import type { FlameNode } from "../web/model/flame.ts";
import { packModel, unpackModel } from "../web/model/pack.ts";
import { TraceModel } from "../web/model/trace_model.ts";
import { preview } from "../web/read/preview.ts";
import { readModel } from "../web/read/read_model.ts";
import { synthesize } from "./synthetic_trace.ts";
import { seeded } from "./trace_fixture.ts";

function bundleOf(exits: number): Bundle {
  const store = new MemoryStore();
  synthesize(store, { exits, vcpus: 3, functions: 200 });
  return Bundle.open(store);
}

function modelOf(bundle: Bundle): TraceModel {
  const reading = readModel(bundle, bundleSource(bundle), traceSummary(bundle));
  for (;;) {
    const step = reading.next();
    if (step.done) return new TraceModel(step.value);
  }
}

const sorted = (rows: unknown[][]) => rows.map((r) => r.join(" ")).sort();

Deno.test("viewer's counts over any range are those of SQL", async () => {
  const bundle = bundleOf(20_000), model = modelOf(bundle);
  const session = await Session.open(bundleSource(bundle));
  try {
    const rows = (sql: string) =>
      sorted(session.records(sql).map((r) => Object.values(r).map((v) => v ?? "-")));
    const random = seeded(7), end = model.whole.endNs;
    for (let k = 0; k < 6; k++) {
      const a = k === 0 ? 0 : random(end - 1), b = k === 0 ? end : a + 1 + random(end - a);
      const p = model.panels({ startNs: a, endNs: b }, 1 + random(300));
      const inside = `time_ns >= ${a} AND time_ns < ${b}`, note = `${a} to ${b}`;
      assertEquals(
        sorted(p.series.map((s) => [s.reason, s.total])),
        rows(`SELECT reason, count(*) FROM exits WHERE ${inside} GROUP BY 1`),
        note,
      );
      for (const s of p.series) assertEquals(s.counts.reduce((x, y) => x + y, 0), s.total, note);
      assertEquals(
        sorted(p.lanes.filter((l) => l.totalExits > 0).map((l) => [l.vcpu, l.totalExits])),
        rows(`SELECT vcpu, count(*) FROM exits WHERE ${inside} GROUP BY 1`),
        note,
      );
      const places = `FROM exit_functions f JOIN exits e USING (seq) WHERE e.${
        inside.replace("AND ", "AND e.")
      }`;
      const functions = rows(`SELECT f.function, count(*) ${places} GROUP BY 1`);
      assertEquals(p.functionCount, functions.length, note);
      const shown = new Set(functions);
      for (const f of p.byFunction) {
        assert(shown.has(`${f.name ?? "-"} ${f.exits}`), `${f.name} ${f.exits} ${note}`);
      }
      const addresses = new Set(rows(`SELECT printf('0x%x', f.rip), count(*) ${places} GROUP BY 1`));
      assertEquals(p.addressCount, addresses.size, note);
      for (const f of p.byAddress) assert(addresses.has(`${f.address} ${f.exits}`), `${f.address} ${note}`);
      assertEquals(
        sorted(p.calls.map((c) => [c.name, c.subop ?? "-", c.calls, c.failed])),
        rows(`SELECT name, subop_name, count(*), count(errno_name) FROM hypercalls h JOIN exits e USING (seq)
              WHERE e.${inside.replace("AND ", "AND e.")} GROUP BY 1, 2`),
        note,
      );
      assertEquals(
        sorted(p.interruptMix.map((i) => [i.vector, i.source, i.count])),
        rows(`SELECT vector, source, count(*) FROM interrupts WHERE ${inside} GROUP BY 1, 2`),
        note,
      );
      assertEquals(p.exitFlame.total, p.exits, note);
      assertEquals(p.sampleFlame.total, p.samples, note);
    }
    assertEquals(
      model.panels(model.whole, 10).samples,
      Number(session.records("SELECT count(*) AS n FROM pc_samples")[0].n),
    );
  } finally {
    session.close();
  }
});

Deno.test("viewer's first look agrees with what is read afterwards", () => {
  const bundle = bundleOf(20_000), model = modelOf(bundle);
  const early = preview(bundle, traceSummary(bundle)), whole = model.panels(model.whole, 600);
  assertEquals(early?.range, whole.range);
  assertEquals(early?.exits, whole.exits);
  assertEquals(early?.series.map((s) => [s.reason, s.total]), whole.series.map((s) => [s.reason, s.total]));
  assertEquals(early?.lanes.map((l) => l.totalExits), whole.lanes.map((l) => l.totalExits));
  // A bucket's edge may fall on either side of a nanosecond.
  const moved = whole.series.map((s, i) =>
    s.counts.reduce((n, c, b) => n + Math.abs(c - early!.series[i].counts[b]), 0)
  );
  assert(moved.reduce((a, b) => a + b, 0) <= 40, `${moved}`);
});

Deno.test("viewer's first look survives bytes that are anything", () => {
  const random = seeded(11), store = new MemoryStore();
  synthesize(store, { exits: 9000, vcpus: 2 });
  const good = store.files.get("exits.arrows")!, [, { offset }] = Bundle.open(store).table("exits").blocks;
  for (let k = 0; k < 200; k++) {
    const bad = good.slice();
    for (let n = 0; n < 1 + random(60); n++) {
      bad[offset + random(k % 2 === 0 ? 3000 : bad.length - offset)] = random(256);
    }
    store.files.set("exits.arrows", bad);
    const bundle = Bundle.open(store, { verify: false });
    const early = preview(bundle, traceSummary(bundle));
    assert(early === null || early.exits <= 9000);
  }
});

Deno.test("viewer's stacks of exits are those of the exported profiles", async () => {
  const bundle = bundleOf(3000), { data } = modelOf(bundle), c = data.columns;
  const session = await Session.open(bundleSource(bundle));
  const expected = new Map<string, number>();
  for (const s of exitStacks(session)) {
    const key = [...s.functions].reverse().map((f) => f === UNKNOWN ? "[unknown]" : f).join(";") +
      `;${s.reason}`;
    expected.set(key, (expected.get(key) ?? 0) + s.count);
  }
  session.close();
  const paths = Uint32Array.from(c.exitPlace, (place) => c.placePath[place]);
  c.stackExit.forEach((exit, i) => paths[exit] = c.stackPath[i]);
  const found = new Map<string, number>();
  for (const path of paths) {
    const names: string[] = [];
    for (let node = path; node !== 0; node = c.pathParent[node]) {
      names.push(labelName(data, c.pathLabel[node]));
    }
    const key = names.reverse().join(";");
    found.set(key, (found.get(key) ?? 0) + 1);
  }
  assert(c.stackExit.length > 300);
  assertEquals([...found].sort(), [...expected].sort());
});

Deno.test("viewer's flame graph keeps its total at every level and drops only what is thin", () => {
  const { exitFlame } = modelOf(bundleOf(5000)).panels({ startNs: 0, endNs: Infinity }, 100);
  const check = (nodes: readonly FlameNode[], within: number) => {
    const sum = nodes.reduce((n, node) => n + node.value, 0);
    assert(sum <= within, `${sum} of ${within}`);
    for (const n of nodes) {
      assert(n.value >= exitFlame.total / 4000);
      check(n.children, n.value);
    }
  };
  check(exitFlame.roots, exitFlame.total);
  assertEquals(exitFlame.total, 5000);
});

Deno.test("viewer's model comes out of its packed form as it went in", () => {
  const model = modelOf(bundleOf(2000)), again = new TraceModel(unpackModel(packModel(model.data)));
  assertEquals(again.panels(again.whole, 64), model.panels(model.whole, 64));
  assertEquals(again.data, model.data);
});

Deno.test("viewer takes halts from HLT to the vCPU's next interrupt or exit", () => {
  const model = modelOf(bundleOf(4000)), { columns } = model.data;
  const { lanes } = model.panels(model.whole, 50), whole = model.whole.endNs;
  for (const lane of lanes) {
    let ns = 0;
    columns.haltVcpu.forEach((v, i) => {
      if (v === lane.vcpu) ns += columns.haltEnd[i] - columns.haltStart[i];
    });
    assert(Math.abs(lane.haltedShare - ns / whole) < 1e-9);
    assert(Math.abs(lane.halted.reduce((a, b) => a + b, 0) / 50 - lane.haltedShare) < 1e-4);
    assert(lane.haltedShare > 0.01 && lane.haltedShare < 1);
  }
});

Deno.test("viewer answers any range with finite numbers", () => {
  const model = modelOf(bundleOf(500));
  for (const [startNs, endNs] of [[NaN, NaN], [-1, -5], [1e18, 2e18], [5, 5], [Infinity, 0], [0, 1e-9]]) {
    for (const buckets of [0, -1, NaN, 1e9]) {
      const p = model.panels({ startNs, endNs }, buckets);
      assert(p.range.startNs >= 0 && p.range.endNs > p.range.startNs && p.bucketNs > 0);
      assert(p.series.every((s) => s.counts.length <= 2000));
    }
  }
});
