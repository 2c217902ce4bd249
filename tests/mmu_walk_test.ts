import { assertEquals } from "@std/assert";
import { Cr0, Cr4, Efer, Fl } from "../core/cpu/state.ts";
import * as L from "../core/layout.ts";
import { Access } from "../core/mmu/mmu.ts";
import { assertFault, faultOf, LONG, PAE, PAGED, TestCore } from "./system_fixture.ts";

/** Where the tests put their page tables: one page a level, 4 (root) to 1. */
const TABLE = [0, 0x4000, 0x3000, 0x2000, 0x1000], DATA = 0x10000;
const P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, NX = 0x8000_0000;

interface Mode {
  name: string;
  levels: number;
  wide: boolean;
  cr4: number;
  efer: number;
  la: number;
  /** Entry index at a level (1-4), straight from the figures of SDM volume 3, chapter 4. */
  index: (level: number) => number;
}

const LA64 = -0x7f2c_4a5b_6000, LA32 = 0xc4a5_b000;
const bitsOf = (la: number, low: number, count: number) =>
  Number(BigInt.asUintN(64, BigInt(la)) >> BigInt(low) & (1n << BigInt(count)) - 1n);
const MODES: Mode[] = [
  {
    name: "4-level",
    levels: 4,
    wide: true,
    cr4: PAE,
    efer: LONG | Efer.NXE,
    la: LA64,
    index: (level) => bitsOf(LA64, 12 + 9 * (level - 1), 9),
  },
  {
    name: "PAE",
    levels: 2,
    wide: true,
    cr4: PAE,
    efer: Efer.NXE,
    la: LA32,
    index: (level) => bitsOf(LA32, 12 + 9 * (level - 1), 9),
  },
  {
    name: "32-bit",
    levels: 2,
    wide: false,
    cr4: Cr4.PSE,
    efer: 0,
    la: LA32,
    index: (level) => bitsOf(LA32, 12 + 10 * (level - 1), 10),
  },
];

/** Writes an entry; `hi` is ignored for 4-byte ones. */
function entry(c: TestCore, m: Mode, level: number, lo: number, hi = 0): void {
  const at = TABLE[level] + m.index(level) * (m.wide ? 8 : 4);
  c.mem.write32(at, lo >>> 0);
  if (m.wide) c.mem.write32(at + 4, hi >>> 0);
}
function entryLo(c: TestCore, m: Mode, level: number): number {
  return c.mem.read32(TABLE[level] + m.index(level) * (m.wide ? 8 : 4));
}

/** Turns a mode on, with its root. */
function enable(c: TestCore, m: Mode, cr0: number = Cr0.WP, cr4 = 0): void {
  c.control((PAGED | cr0) >>> 0, m.cr4 | cr4, m.efer, TABLE[m.levels]);
  if (m.name === "PAE") {
    c.mem.write32(0x5000 + (LA32 >>> 30) * 8, TABLE[2] | P);
    c.s.setWords(L.CR3, 0x5000, 0);
    assertEquals(c.mmu.loadPdptes(0x5000), true);
  }
}

/** A path of entries: extra flags by level. Leaf points at `DATA`. */
function path(
  c: TestCore,
  m: Mode,
  flags: (level: number) => number,
  high: (level: number) => number = () => 0,
) {
  for (let level = m.levels; level >= 1; level--) {
    entry(c, m, level, (level === 1 ? DATA : TABLE[level - 1]) | flags(level), high(level));
  }
}

interface Permissions {
  u: boolean;
  w: boolean;
  nx: boolean;
  user: boolean;
  wp: boolean;
  nxe: boolean;
  smep: boolean;
  smap: boolean;
  ac: boolean;
}

/** SDM volume 3, 4.6.1, as prose turned into a predicate. */
function permitted(p: Permissions, access: number): boolean {
  if (p.user) {
    if (!p.u) return false;
    if (access === Access.READ) return true;
    return access === Access.WRITE ? p.w : !(p.nxe && p.nx);
  }
  if (access === Access.EXEC) return p.u && p.smep ? false : !(p.nxe && p.nx);
  if (p.u && p.smap && !p.ac) return false;
  return access === Access.READ || p.w || !p.wp;
}

/** What generated code concludes from the tags (core/layout.ts), for a 4-byte access. */
function direct(c: TestCore, la: number, tag: number): boolean {
  const big = BigInt.asUintN(64, BigInt(la));
  const index = Number(((big >> 12n) + (big >> 24n)) & 4095n);
  const e = c.s.i32[L.TLB_BASE >> 2] + index * L.TLB_ENTRY_SIZE;
  return c.s.view.getBigUint64(e + tag, true) === ((big + 3n) & ~0xfffn);
}

for (const m of MODES) {
  Deno.test(`Page walk (${m.name}) permits and faults as the SDM's access rules say, TLB tags included`, () => {
    const c = new TestCore();
    let cases = 0;
    for (let bits = 0; bits < 1 << 7; bits++) {
      const on = (n: number) => (bits >> n & 1) !== 0;
      for (let where = 0; where <= m.levels; where++) {
        for (let right = 0; right < (where === 0 ? 1 : 3); right++) {
          // Right 0-2 (U, W, NX) is withheld at level `where`; 0: nothing withheld.
          const p: Permissions = {
            u: !(where && right === 0),
            w: !(where && right === 1),
            nx: where !== 0 && right === 2 && m.wide,
            user: on(0),
            wp: on(1),
            nxe: on(2) && m.wide,
            smep: on(3),
            smap: on(4),
            ac: on(5),
          };
          // Without NXE bit 63 is reserved: tested elsewhere.
          if (p.nx && !p.nxe) continue;
          enable(c, m, p.wp ? Cr0.WP : 0, (p.smep ? Cr4.SMEP : 0) | (p.smap ? Cr4.SMAP : 0));
          if (!p.nxe) c.s.u32[L.EFER >> 2] &= ~Efer.NXE;
          c.s.u32[L.FLAGS >> 2] = p.ac ? 2 | Fl.AC : 2;
          c.setCpl(p.user ? 3 : 0);
          const dirty = on(6) ? D : 0;
          for (let access = 0; access < 3; access++) {
            c.mmu.flushAll();
            path(
              c,
              m,
              (level) =>
                P | (level === where && right === 0 ? 0 : U) | (level === where && right === 1 ? 0 : W) |
                (level === 1 ? dirty : 0),
              (level) => level === where && right === 2 ? NX : 0,
            );
            const f = faultOf(() => assertEquals(c.mmu.translate(m.la + 0x123, access), DATA + 0x123));
            const ok = permitted(p, access), what = JSON.stringify({ ...p, where, right, access, dirty });
            assertEquals(f === null, ok, what);
            if (ok) {
              const leaf = P | A | (access === Access.WRITE ? D : dirty);
              assertEquals(entryLo(c, m, 1) & (P | A | D), leaf, what);
              for (let l = 2; l <= m.levels; l++) assertEquals(entryLo(c, m, l) & (A | D), A, what);
              const written = access === Access.WRITE || dirty !== 0, data = access !== Access.EXEC;
              const seen = [L.TLB_READ, L.TLB_WRITE, L.TLB_EXEC].map((tag) => direct(c, m.la, tag));
              const wanted = [0, 1].map((x) => data && permitted(p, x) && (x !== 1 || written));
              assertEquals(seen, [...wanted, false], what);
              const lo = m.la | 0, hi = Math.floor(m.la / 2 ** 32);
              assertEquals(c.mmu.tlb.exec.map((x) => x.find(lo, hi)), [
                !data && !p.user ? DATA >> 12 : -1,
                !data && p.user ? DATA >> 12 : -1,
              ], what);
            } else {
              const i = access === Access.EXEC && (p.nxe || p.smep) ? 0x10 : 0;
              assertFault(f, 14, 1 | (access === Access.WRITE ? 2 : 0) | (p.user ? 4 : 0) | i, what);
              assertEquals(c.s.num(L.FAULT_ADDR), m.la + 0x123);
              assertEquals(entryLo(c, m, 1) & (A | D), dirty, what);
            }
            cases++;
          }
        }
      }
    }
    assertEquals(cases > 1000, true);
  });

  Deno.test(`Page walk (${m.name}) faults with P clear when any entry is not present`, () => {
    const c = new TestCore();
    enable(c, m);
    for (let level = 1; level <= m.levels; level++) {
      path(c, m, (l) => l === level ? W | U : P | W | U);
      c.mmu.flushAll();
      for (const [access, bits] of [[0, 0], [1, 2], [2, m.wide ? 0x10 : 0]]) {
        assertFault(faultOf(() => c.mmu.translate(m.la, access)), 14, bits, `level ${level}`);
      }
      c.setCpl(3);
      assertFault(faultOf(() => c.mmu.translate(m.la, 0)), 14, 4);
      assertEquals(c.mmu.tryTranslate(m.la), -1);
      c.setCpl(0);
    }
    path(c, m, () => P);
    assertEquals(c.mmu.tryTranslate(m.la + 5), DATA + 5);
    assertEquals(entryLo(c, m, 1), DATA | P, "no accessed flag");
  });
}

/** Bits of an 8-byte entry that must be zero, from SDM volume 3, tables 4-8 to 4-20, MAXPHYADDR 40. */
function reserved(m: Mode, level: number, large: boolean, nxe: boolean, bit: number): boolean {
  if (bit === 63) return !nxe;
  if (bit >= 40 && bit <= 51) return true;
  if (bit >= 52) return m.name === "PAE";
  if (bit === 7 && level === 4) return true;
  if (large && level === 2) return bit >= 13 && bit <= 20;
  if (large && level === 3) return bit >= 13 && bit <= 29;
  return false;
}

for (const m of MODES.filter((m) => m.wide)) {
  for (const nxe of [true, false]) {
    Deno.test(`Page walk (${m.name}, NXE ${nxe}) faults on exactly the reserved bits`, () => {
      const c = new TestCore();
      enable(c, m);
      if (!nxe) c.s.u32[L.EFER >> 2] &= ~Efer.NXE;
      for (let level = 1; level <= m.levels; level++) {
        for (const large of level === 2 || level === 3 ? [false, true] : [false]) {
          for (let bit = 5; bit < 64; bit++) {
            if (bit === 7 && level > 1 && level < 4) continue;
            const lo = bit < 32 ? 2 ** bit : 0, hi = bit >= 32 ? 2 ** (bit - 32) : 0;
            const set = reserved(m, level, large, nxe, bit);
            // An address bit that is not reserved leads to another table: nothing to say about it here.
            if (!set && bit >= 12 && bit < 40 && level > 1) continue;
            path(c, m, () => P | W | U);
            const frame = large ? PS : level === 1 ? DATA : TABLE[level - 1];
            entry(c, m, level, frame | P | W | U | lo, hi);
            c.mmu.flushAll();
            const f = faultOf(() => c.mmu.translate(m.la, 0));
            const what = `level ${level} large ${large} bit ${bit}`;
            if (set) assertFault(f, 14, 9, what);
            else assertEquals(f, null, what);
          }
        }
      }
    });
  }
}

Deno.test("Page walk of 32-bit paging reserves PSE-36 bits above MAXPHYADDR and finds pages above 4 GiB", () => {
  const c = new TestCore(), m = MODES[2];
  for (const bits of [32, 36, 40, 46]) {
    c.mmu.physAddrBits = bits;
    enable(c, m);
    for (let bit = 12; bit <= 21; bit++) {
      entry(c, m, 2, 0x0040_0000 | P | W | U | PS | 1 << bit);
      c.mmu.flushAll();
      // SDM table 4-4: bit 12 is PAT, bits 13..20 are physical address bits 32..39, bit 21 is reserved.
      const isReserved = bit === 21 || (bit >= 13 && bit + 19 >= bits);
      const f = faultOf(() => {
        const high = bit >= 13 ? 2 ** (bit + 19) : 0;
        assertEquals(c.mmu.translate(LA32 + 9, 0), high + 0x0040_0000 + LA32 % 0x40_0000 + 9);
      });
      if (isReserved) assertFault(f, 14, 9, `MAXPHYADDR ${bits} bit ${bit}`);
      else assertEquals(f, null, `MAXPHYADDR ${bits} bit ${bit}`);
    }
  }
  c.mmu.physAddrBits = 40;
  c.control(PAGED, 0, 0, TABLE[2]);
  entry(c, m, 2, TABLE[1] | P | W | PS);
  entry(c, m, 1, DATA | P | W);
  assertEquals(c.mmu.translate(LA32, 0), DATA, "without CR4.PSE bit 7 is ignored");
});

Deno.test("Page walk maps large pages and marks only their last entry dirty", () => {
  const c = new TestCore();
  for (const m of MODES) {
    for (const level of m.name === "4-level" ? [2, 3] : [2]) {
      enable(c, m);
      path(c, m, () => P | W | U);
      entry(c, m, level, P | W | U | PS);
      c.mmu.flushAll();
      const size = level === 3 ? 2 ** 30 : m.wide ? 2 ** 21 : 2 ** 22;
      const offset = ((m.la % size) + size) % size;
      assertEquals(c.mmu.translate(m.la + 0x321, 1), offset + 0x321, `${m.name} ${level}`);
      assertEquals(entryLo(c, m, level) & (A | D), A | D);
      if (level < m.levels) assertEquals(entryLo(c, m, m.levels) & (A | D), A);
      assertEquals(entryLo(c, m, 1) & (A | D), 0);
    }
  }
  c.mmu.largePages1G = false;
  enable(c, MODES[0]);
  path(c, MODES[0], () => P | W);
  entry(c, MODES[0], 3, P | W | PS);
  assertFault(faultOf(() => c.mmu.translate(LA64, 0)), 14, 9, "1 GiB pages denied by CPUID");
});

Deno.test("PDPTEs are taken at load time and refuse reserved bits", () => {
  const c = new TestCore(), m = MODES[1];
  enable(c, m);
  path(c, m, () => P | W | U);
  const at = 0x5000 + (LA32 >>> 30) * 8;
  c.mem.write32(at, 0);
  assertEquals(c.mmu.translate(LA32, 0), DATA, "memory changed after the load does not matter");
  // SDM table 4-8: bits 1-2, 5-8 and MAXPHYADDR-63 of a present PDPTE are reserved.
  for (let bit = 1; bit < 64; bit++) {
    c.mem.write32(at, (TABLE[2] | P | (bit < 32 ? 2 ** bit : 0)) >>> 0);
    c.mem.write32(at + 4, bit >= 32 ? 2 ** (bit - 32) : 0);
    const bad = bit === 1 || bit === 2 || (bit >= 5 && bit <= 8) || bit >= 40;
    assertEquals(c.mmu.loadPdptes(0x5000), !bad, `bit ${bit}`);
  }
  c.mem.write32(at, 0xffff_fffe);
  c.mem.write32(at + 4, 0xffff_ffff);
  assertEquals(c.mmu.loadPdptes(0x5000), true, "not present: nothing is reserved");
  c.mmu.flushAll();
  assertFault(faultOf(() => c.mmu.translate(LA32, 0)), 14, 0);
});

Deno.test("Translation without paging is the identity with all rights", () => {
  const c = new TestCore();
  c.control(Cr0.PE, 0, 0);
  c.setCpl(3);
  assertEquals([0, 1, 2].map((a) => c.mmu.translate(0x12345, a)), [0x12345, 0x12345, 0x12345]);
  assertEquals(c.mmu.translate(0xfee0_0020, 0), 0xfee0_0020);
});

Deno.test("Page tables in memory without backing read as all ones: reserved bits fault", () => {
  const c = new TestCore(), m = MODES[0];
  enable(c, m);
  c.s.setWords(L.CR3, 0x8000_0000, 0);
  assertFault(faultOf(() => c.mmu.translate(LA64, 0)), 14, 9);
  c.s.setWords(L.CR3, 0x8000_0000, 0x7);
  assertFault(faultOf(() => c.mmu.translate(LA64, 0)), 14, 9);
});
