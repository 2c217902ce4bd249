/** A bit that flips anywhere in the memory that the guest has touched: `diff` says what becomes of it, to the instruction. */
import { assert, assertEquals } from "@std/assert";
import { compareExecutions } from "../replay/diff/executions.ts";
import type { Finding } from "../replay/diff/find.ts";
import { Scanner } from "../replay/scan/scan.ts";
import { Bundle } from "../traces/bundle.ts";
import type { MemoryStore } from "../traces/store.ts";
import { accessesOf, differsAt, FAR, FIRST, MOST, recorded, SEEDS, stepSideBySide } from "./diff_fixture.ts";
import { Random } from "./fidelity/random.ts";

const plain = await recorded({});

/** Pages that hold something when the run ends, or that were written: what the guest and its loader have touched. */
function touchedPages(): number[] {
  const s = new Scanner(Bundle.open(plain));
  s.session.seek(0);
  s.machine.takeDirtyPages();
  s.session.runTo(MOST);
  const { mem } = s.machine;
  return Array.from(mem.hostPage, (page, gfn) => {
    const bytes = mem.u8.subarray(page << 12, (page + 1) << 12);
    return page !== 0 && (mem.dirty[gfn] !== 0 || bytes.some((b) => b !== 0)) ? gfn : -1;
  }).filter((gfn) => gfn >= 0);
}

/** Every instruction of the run that nothing disturbed: where it lies and how long it is (the guest maps one to one). */
function everyInstruction(): { icount: number; rip: number; bytes: number }[] {
  const s = new Scanner(Bundle.open(plain)), window = { from: 0, to: MOST };
  const t = s.scan(
    { table: "instructions", range: null, ...window },
    { ...window, start: 0, end: -1 },
    () => {},
  );
  const column = (name: string) => t.columns.find((c) => c.name === name)!.data;
  const [icount, rip, code] = [column("icount"), column("rip"), column("code")];
  const lengths = t.codes.map((c) => c.split(":")[2].length / 2);
  return Array.from({ length: t.rows }, (_, i) => ({
    icount: icount[i * 2],
    rip: rip[i * 2],
    bytes: lengths[code[i]],
  }));
}

/** What must become of a difference, from the log of the undisturbed run: it goes the same way until the byte is read. */
function expected(gpa: number, icount: number, all: ReturnType<typeof everyInstruction>) {
  const first = (table: "memory_reads" | "memory_writes") =>
    accessesOf(plain, table, gpa, icount, MOST)[0] ?? Infinity;
  const executed = all.find((i) => i.icount >= icount && i.rip <= gpa && gpa < i.rip + i.bytes)?.icount;
  return { read: Math.min(first("memory_reads"), executed ?? Infinity), written: first("memory_writes") };
}

/** Holds what was found against two machines side by side. */
function checkEffect(f: Finding, other: MemoryStore, icount: number, what: string): void {
  const until = f.effect?.icount ?? f.converged ?? f.end, from = Math.min(f.met ?? icount, until);
  if (f.effect !== null && until - from <= FAR) {
    assertEquals(stepSideBySide(plain, other, from, until - from + 1, f.cause), until, what);
  }
  assertEquals(differsAt(plain, other, until, f.cause), false, what);
  if (f.effect !== null) assertEquals(differsAt(plain, other, until + 1, f.cause), true, what);
}

Deno.test(`diff says what becomes of a bit flipped anywhere in touched memory, ${SEEDS} seeds of ${SEEDS}`, async () => {
  const pages = touchedPages(), all = everyInstruction();
  console.log(`${pages.length} pages touched`);
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const random = new Random(seed, 1), icount = random.below(MOST - 1000);
    const gpa = random.pick(pages) * 4096 + random.below(4096), bit = random.below(8);
    const other = await recorded({ flips: [{ icount, gpa, bit }] });
    const d = await compareExecutions(Bundle.open(plain), Bundle.open(other)), f = d.finding!;
    const what = `seed ${seed}: bit ${bit} of 0x${gpa.toString(16)} at ${icount}`;
    const { read, written } = expected(gpa, icount, all);
    console.log(
      `${what}: read at ${f.met ?? "no time"}, different at ${f.effect?.icount ?? "no time"}, ` +
        `one state again at ${
          f.converged ?? "no time"
        }; the log has a read at ${read}, a write at ${written}`,
    );
    // The state differs from the flip's own icount on.
    assertEquals([d.unlike, d.input?.icount, f.start], [[], icount, icount], what);
    assertEquals([...f.cause], [[gpa, 1 << bit]], what);
    assertEquals(differsAt(plain, other, icount, new Map()), true, what);
    if (read <= written && read < Infinity) {
      // Walks of page tables read as well, and are in no log.
      assert(f.met !== null && f.met <= read, what);
      if (f.met < read) assertEquals(f.effect?.icount, f.met, what);
    } else if (f.met === null && written < Infinity) assertEquals(f.converged, written + 1, what);
    else if (f.met === null) assertEquals([f.converged, f.end], [null, MOST], what);
    checkEffect(f, other, icount, what);
  }
});
