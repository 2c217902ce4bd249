import { assert, assertEquals, assertGreater } from "@std/assert";
import type { RetrovisorMachine } from "../core/machine.ts";
import { PAGE_SIZE } from "../core/mmu/physmem.ts";
import { Decoder, DecoderOptions } from "iced-x86";
import { Scanner, type ScanRequest, segmentsOf, usable } from "../replay/scan/scan.ts";
import { joined, type ScanTable, TooManyRows } from "../replay/scan/rows.ts";
import { Bundle } from "../traces/bundle.ts";
import type { MemoryStore } from "../traces/store.ts";
import { recordDemo } from "./debug_fixture.ts";
import { Random } from "./fidelity/random.ts";

const { store, run } = await recordDemo();
/** Instructions looked at one by one, at each of some places. */
const STEPS = 1500, PLACES = 6;

function scanner(from: MemoryStore = store): Scanner {
  return new Scanner(Bundle.open(from));
}

/** The whole answer to a request, piece by piece as threads would compute it. */
function scan(s: Scanner, r: ScanRequest): ScanTable {
  const { bundle, checkpoints } = s.session;
  return joined(segmentsOf(r, usable(bundle, checkpoints)).map((segment) => s.scan(r, segment, () => {})));
}

/** A table's rows as records; 64-bit values as bigints. */
function records(t: ScanTable): Record<string, bigint>[] {
  const out: Record<string, bigint>[] = Array.from({ length: t.rows }, () => ({}));
  for (const { name, width, data } of t.columns) {
    for (let i = 0; i < t.rows; i++) {
      out[i][name] = width === 64 ? BigInt(data[i * 2 + 1]) << 32n | BigInt(data[i * 2]) : BigInt(data[i]);
    }
  }
  return out;
}

/** Bytes of memory that changed, by address, since the pages were last looked at. */
class Changes {
  readonly #pages = new Map<number, Uint8Array>();
  constructor(readonly m: RetrovisorMachine) {
    m.takeDirtyPages();
    for (let gfn = 0; gfn < m.mem.hostPage.length; gfn++) this.#keep(gfn);
  }
  #keep(gfn: number): void {
    const at = this.m.mem.hostPage[gfn] * PAGE_SIZE;
    if (at !== 0) this.#pages.set(gfn, this.m.mem.u8.slice(at, at + PAGE_SIZE));
  }
  take(): Map<number, number> {
    const out = new Map<number, number>();
    for (const gfn of this.m.takeDirtyPages()) {
      const old = this.#pages.get(gfn);
      this.#keep(gfn);
      const now = this.#pages.get(gfn);
      if (!old || !now) continue;
      now.forEach((b, i) => b !== old[i] && out.set(gfn * PAGE_SIZE + i, b));
    }
    return out;
  }
}

Deno.test("memory_writes tells every byte that changes, with its count and value, as single steps do", () => {
  const seed = Number(Deno.env.get("SEED") ?? 1), random = new Random(seed);
  console.log(`seed ${seed}`);
  const s = scanner(), stepped = scanner();
  let written = 0;
  for (let place = 0; place < PLACES; place++) {
    const from = 1000 + random.below(run.icount - STEPS - 2000), to = from + STEPS;
    const rows = records(scan(s, { table: "memory_writes", range: null, from, to }));
    stepped.session.seek(from);
    const changes = new Changes(stepped.machine);
    let next = 0;
    for (let n = from; n < to; n++) {
      stepped.session.runTo(n + 1);
      const expected = new Map<number, number>(), { mem } = stepped.machine;
      for (; next < rows.length && Number(rows[next].icount) <= n; next++) {
        assertEquals(Number(rows[next].icount), n);
        for (let i = 0; i < Number(rows[next].size); i++) {
          expected.set(Number(rows[next].gpa) + i, Number(rows[next].value >> BigInt(8 * i) & 0xffn));
        }
      }
      // Later writes at the same count win; what is written without a change is not in the difference.
      for (const [gpa, byte] of expected) assertEquals(mem.read8(gpa), byte, `at ${n}, address ${gpa}`);
      for (const gpa of changes.take().keys()) {
        assert(expected.has(gpa), `at ${n}, address ${gpa} is missing`);
      }
      written += expected.size;
    }
  }
  assertGreater(written, 1000);
});

Deno.test("memory_writes and memory_reads of a narrow range are those rows of the wide answer", () => {
  const s = scanner(), from = 1_000_000, to = 1_200_000;
  for (const table of ["memory_writes", "memory_reads"] as const) {
    const all = records(scan(s, { table, range: null, from, to }));
    for (const physical of [false, true]) {
      const name = physical ? "gpa" : "address";
      // A range that is used, and as wide as to begin and end inside of accesses.
      const at = Number(all[all.length >> 1][name]) - 3, bytes = 40;
      const narrow = records(scan(s, { table, range: { physical, from: at, bytes }, from, to }));
      const expected = all.filter((r) =>
        Number(r[name]) < at + bytes && Number(r[name] + r.size) > at && (physical || r.source < 2n)
      );
      assertGreater(expected.length, 0);
      assertEquals(narrow, expected);
      const wide = { physical, from: at, bytes: 65 << 10 };
      const inside = all.filter((r) => Number(r[name]) < at + wide.bytes && Number(r[name] + r.size) > at);
      assertEquals(
        records(scan(s, { table, range: wide, from, to })).filter((r) => physical || r.source < 2n),
        inside.filter((r) => physical || r.source < 2n),
      );
    }
  }
});

Deno.test("instructions are those that single steps find, with the bytes that iced-x86 finds there", () => {
  const s = scanner(), stepped = scanner(), from = 2_500_000, to = from + 5000;
  const table = scan(s, { table: "instructions", range: null, from, to }), rows = records(table);
  stepped.session.seek(from);
  const { machine } = stepped;
  rows.forEach((row, i) => {
    const n = Number(row.icount), [mode, , hex] = table.codes[Number(row.code)].split(":");
    stepped.session.runTo(n);
    // Behind events at this count, the instruction that retires is another one than where it stands now.
    if (machine.cpu.interruptCheck) return;
    assertEquals(BigInt.asUintN(64, machine.where().rip), row.rip, `at ${n}`);
    const bytes = Uint8Array.from(hex.match(/../g)!, (h) => parseInt(h, 16));
    const decoder = new Decoder(Number(mode), bytes, DecoderOptions.None);
    const instruction = decoder.decode();
    assertEquals(instruction.length, bytes.length, hex);
    instruction.free();
    decoder.free();
    for (let b = 0; b < bytes.length; b++) {
      assertEquals(machine.mem.read8(machine.cpu.mmu.tryTranslate(Number(row.rip) + b)), bytes[b]);
    }
    const next = rows[i + 1];
    if (next !== undefined && Number(next.icount) > n + 1) assert(/^f[23]|^66f[23]/.test(hex), hex);
  });
  assertGreater(rows.length, 1000);
});

Deno.test("branches go where the next instruction is", () => {
  const s = scanner(), from = 3_000_000, to = from + 20_000;
  const code = records(scan(s, { table: "instructions", range: null, from, to }));
  const branches = scan(s, { table: "branches", range: null, from, to });
  const after = new Map(code.map((row, i) => [row.icount, code[i + 1]?.rip]));
  const all = records(branches), events = new Set<bigint>();
  for (const row of all) {
    if (/^(interrupt|exception)$/.test(branches.codes[Number(row.code)])) events.add(row.icount);
  }
  let taken = 0;
  for (const row of all) {
    const kind = branches.codes[Number(row.code)], next = after.get(row.icount);
    if (next === undefined || events.has(row.icount) || events.has(row.icount + 1n)) continue;
    assertEquals(row.target, next, `${kind} at ${row.icount}`);
    taken += Number(row.taken);
  }
  assertGreater(taken, 500);
});

Deno.test("looking on changes no count, exit or hash, whatever is looked at and however it is cut", () => {
  const s = scanner(), { checkpoints, bundle } = s.session;
  assertGreater(checkpoints.length, 3);
  const before = s.session.compared;
  // The end of each piece compares with the checkpoint there.
  const window = { from: checkpoints[1].icount - 2000, to: checkpoints[1].icount + 2000 };
  for (const table of ["memory_writes", "memory_reads", "instructions", "calls", "branches"] as const) {
    const request = { ...window, table, range: null };
    const cut = scan(s, request);
    const whole = s.scan(request, { ...window, start: 0, end: -1 }, () => {});
    assertEquals(records(cut).length, records(whole).length, table);
    assertEquals(records(cut).map(({ code: _, ...r }) => r), records(whole).map(({ code: _, ...r }) => r));
  }
  // All of the stretch between two checkpoints, of which few accesses are kept.
  const physical = { physical: true, from: 0x10_0000, bytes: 1 << 17 };
  for (
    const range of [physical, { ...physical, bytes: 64 }, { physical: false, from: 0x10_0000, bytes: 8 }]
  ) {
    const first = { table: "memory_writes", range, from: 0, to: checkpoints[1].icount + 1 } as const;
    s.scan(first, { ...first, start: 0, end: 1 }, () => {});
    // Begun in the middle, where the usual engines have been running.
    s.scan(first, { from: 1_000_000, to: first.to, start: 0, end: 1 }, () => {});
  }
  assertEquals(s.session.compared, before + 11);
  assertEquals(bundle.recovered, false);
});

Deno.test("a table with too many rows ends with an error, not with all the memory", () => {
  const s = scanner(), request = { table: "instructions", range: null, from: 0, to: 1e6 } as const;
  let error: unknown = null;
  try {
    s.scan(request, { from: 0, to: 1e6, start: 0, end: -1 }, () => {}, 5000);
  } catch (e) {
    error = e;
  }
  assert(error instanceof TooManyRows);
});
