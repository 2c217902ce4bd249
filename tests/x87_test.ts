/**
 * The x87 unit against the host processor (a small native program, built here with gcc), and what the host cannot be
 * asked: pending exceptions, device-not-available, environment formats.
 */
import { assert, assertEquals } from "@std/assert";
import * as L from "../core/layout.ts";
import { Cr0, Cr4 } from "../core/cpu/state.ts";
import { protectedMachine } from "./system_fixture.ts";
import { buildHost, OurFpu, runHost, type X87Case, type X87Result } from "./x87_fixture.ts";
import { type Masking, Random, randomCase, stateImage } from "./x87_random.ts";

const SEED = Number(Deno.env.get("RETROVISOR_TEST_SEED") ?? "20261123");

/** F2XM1, FYL2X, FPTAN, FPATAN, FYL2XP1, FSINCOS, FSIN, FCOS: results may differ from a processor's by one ulp. */
const TRANSCENDENTAL = [0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xfb, 0xfe, 0xff];

function isTranscendental(code: number[]): boolean {
  return code[0] === 0xd9 && TRANSCENDENTAL.includes(code[1]);
}

/** FLDENV, FNSTENV, FRSTOR, FNSAVE: their images hold addresses that differ. */
function isEnvironment(code: number[]): boolean {
  const reg = code[1] >> 3;
  return code[1] < 0xc0 && (reg === 4 || reg === 6) && (code[0] === 0xd9 || code[0] === 0xdd);
}

/** Every defined encoding: register forms with each register, memory forms with [RDI]. */
function encodings(our: OurFpu): number[][] {
  const all: number[][] = [];
  for (let op = 0xd8; op <= 0xdf; op++) {
    for (let modrm = 0xc0; modrm < 0x100; modrm++) all.push([op, modrm]);
    for (let reg = 0; reg < 8; reg++) all.push([op, reg << 3 | 7]);
  }
  return all.filter((code) => {
    const { u32 } = our.core.s;
    u32[L.FCW >> 2] = 0x37f;
    u32[L.FSW >> 2] = u32[L.FTW >> 2] = 0;
    return our.execute(code) === null && !isEnvironment(code);
  });
}

const hex = (r: [number, bigint]) =>
  `${r[0].toString(16).padStart(4, "0")}:${r[1].toString(16).padStart(16, "0")}`;

/** Distance in units of the last place of two values of one sign; a big number otherwise. */
function ulps(a: [number, bigint], b: [number, bigint]): bigint {
  if ((a[0] ^ b[0]) & 0x8000) return 1n << 80n;
  const flat = (v: [number, bigint]) => BigInt(v[0] & 0x7fff) << 63n | v[1] & (1n << 63n) - 1n;
  const d = flat(a) - flat(b);
  return d < 0n ? -d : d;
}

/** What differs, as text; "" when nothing does. */
function difference(t: X87Case, a: X87Result, b: X87Result): string {
  const tolerant = isTranscendental(t.code), out: string[] = [];
  const near = a.regs.map((v, n) => tolerant && hex(v) !== hex(b.regs[n]) && ulps(v, b.regs[n]) <= 1n);
  // C1 tells how the last place was rounded; around the smallest normal number that place also decides whether the
  // result is a denormal: #U and the register's tag follow it.
  const mask = (tolerant ? 0xfdff : 0xffff) & (near.includes(true) ? ~0x10 : ~0), top = a.fsw >>> 11 & 7;
  const tags = near.reduce((tags, n, i) => n ? tags & ~(3 << ((top + i & 7) * 2)) : tags, 0xffff);
  for (
    const [name, x, y] of [
      ["fsw", a.fsw & mask, b.fsw & mask],
      ["fcw", a.fcw, b.fcw],
      ["ftw", a.ftw & tags, b.ftw & tags],
      ["ax", a.ax, b.ax],
      ["flags", a.rflags, b.rflags],
    ] as const
  ) {
    if (x !== y) out.push(`${name} ${x.toString(16)}, host ${y.toString(16)}`);
  }
  a.regs.forEach((v, n) => {
    if (hex(v) === hex(b.regs[n]) || near[n]) return;
    out.push(`st${n} ${hex(v)}, host ${hex(b.regs[n])}`);
  });
  const at = a.memory.findIndex((v, n) => v !== b.memory[n]);
  if (at >= 0) {
    out.push(`byte ${at} of memory ${a.memory[at].toString(16)}, host ${b.memory[at].toString(16)}`);
  }
  return out.join("; ");
}

function describe(t: X87Case): string {
  const code = t.code.map((b) => b.toString(16)).join(" ");
  return `${code} fcw ${t.fcw.toString(16)} fsw ${t.fsw.toString(16)} ftw ${t.ftw.toString(16)} ${
    t.regs.map(hex).join(" ")
  }`;
}

/** Runs cases on both and reports the first few differences. */
async function compare(
  program: string,
  our: OurFpu,
  cases: X87Case[],
  ignore?: (t: X87Case, r: X87Result) => void,
) {
  const host = await runHost(program, cases);
  const wrong: string[] = [];
  let changed = 0;
  cases.forEach((t, n) => {
    const a = our.run(t);
    ignore?.(t, a);
    ignore?.(t, host[n]);
    const d = difference(t, a, host[n]);
    if (d !== "") wrong.push(`${describe(t)}\n  ${d}`);
    if (a.fsw !== t.fsw) changed++;
  });
  assert(changed > cases.length / 20, "the cases hardly do anything");
  assertEquals(wrong.slice(0, 5), [], `${wrong.length} of ${cases.length} differ (seed ${SEED})`);
}

const canRun = Deno.build.os === "linux" && Deno.build.arch === "x86_64" && await hasGcc();

async function hasGcc(): Promise<boolean> {
  try {
    return (await new Deno.Command("gcc", { args: ["--version"], stdout: "null", stderr: "null" }).output())
      .success;
  } catch {
    return false;
  }
}

Deno.test({
  name: "x87 equals the host processor bit for bit on every instruction when operands are random",
  ignore: !canRun,
  async fn(t) {
    const program = await buildHost(), our = new OurFpu(), all = encodings(our), r = new Random(SEED);
    assert(all.length > 450);
    for (const masking of ["masked", "mixed"] as Masking[]) {
      await t.step(`exceptions ${masking}`, async () => {
        const cases = all.filter((c) => !isTranscendental(c)).flatMap((code) =>
          Array.from({ length: 40 }, () => randomCase(r, code, masking))
        );
        await compare(program, our, cases);
      });
      await t.step(`transcendental within one ulp, exceptions ${masking}`, async () => {
        const cases = all.filter(isTranscendental).flatMap((code) =>
          Array.from({ length: 400 }, () => randomCase(r, code, masking))
        );
        await compare(program, our, cases);
      });
    }
    await t.step("state in memory", async () => {
      const cases: X87Case[] = [];
      for (
        const code of [[0xd9, 0x37], [0xdd, 0x37], [0xd9, 0x27], [0xdd, 0x27], [0x0f, 0xae, 0x07], [
          0x0f,
          0xae,
          0x0f,
        ]]
      ) {
        for (let n = 0; n < 100; n++) {
          const one = randomCase(r, code, "masked");
          if (code[1] === 0x27) stateImage(r, one, 28, 10);
          if (code[2] === 0x0f) stateImage(r, one, 32, 16);
          cases.push(one);
        }
      }
      // Addresses of instruction and operand, MXCSR, and XMM are the program's own.
      await compare(program, our, cases, (one, result) => {
        if (one.code[1] === 0x37) result.memory.fill(0, 12, 28);
        if (one.code[2] === 0x07) {
          result.memory.fill(0, 6, 32);
          result.memory.fill(0, 160);
        }
      });
    });
    await Deno.remove(program.slice(0, program.lastIndexOf("/")), { recursive: true });
  },
});

/** Our FPU with 1 / 0 just done, ZE not masked. */
function pendingDivide(): OurFpu {
  const our = new OurFpu(), { u32 } = our.core.s;
  our.execute([0xdb, 0xe3]); // FNINIT
  u32[L.FCW >> 2] = 0x37b;
  for (const code of [[0xd9, 0xe8], [0xd9, 0xee], [0xd8, 0xf9]]) assertEquals(our.execute(code), null); // 1, 0, FDIVR
  return our;
}

Deno.test("x87 raises #MF at the next waiting instruction when an unmasked exception is pending", () => {
  const our = pendingDivide(), { u32 } = our.core.s;
  u32[L.CR0 >> 2] |= Cr0.NE;
  assertEquals(u32[L.FSW >> 2] & 0x8084, 0x8084);
  assertEquals(our.execute([0xdd, 0x3f]), null, "FNSTSW does not wait");
  assertEquals(our.execute([0xd9, 0xe8]), 16, "FLD1 waits");
  assertEquals(our.execute([0xdb, 0xe2]), null, "FNCLEX does not wait");
  assertEquals(our.execute([0xd9, 0xe8]), null);
});

Deno.test("x87 asks for FERR# instead of #MF when CR0.NE is clear", () => {
  const our = pendingDivide(), { core } = our;
  let asked = 0;
  core.hooks.fpuError = () => ++asked > 0;
  assertEquals(our.execute([0xd9, 0xe8]), null);
  assertEquals(asked, 1);
  assertEquals(core.s.u32[L.FSW >> 2] >>> 11 & 7, 6, "nothing was pushed");
});

Deno.test("x87 raises #NM when CR0.EM or CR0.TS is set", () => {
  const our = new OurFpu(), { u32 } = our.core.s;
  for (const bit of [Cr0.EM, Cr0.TS]) {
    u32[L.CR0 >> 2] |= bit;
    assertEquals(our.execute([0xd9, 0xe8]), 7);
    assertEquals(our.execute([0xdb, 0xe3]), 7);
    u32[L.CR0 >> 2] &= ~bit;
  }
  assertEquals(our.execute([0xdb, 0xe3]), null);
});

Deno.test("x87 raises #UD when an encoding is undefined", () => {
  const our = new OurFpu();
  for (
    const code of [[0xd9, 0xd1], [0xd9, 0xe2], [0xd9, 0x0f], [0xda, 0xe8], [0xdb, 0xe5], [0xde, 0xd8], [
      0xdf,
      0xe1,
    ]]
  ) {
    our.execute([0xdb, 0xe3]);
    assertEquals(our.execute(code), 6, code.map((b) => b.toString(16)).join(" "));
  }
});

Deno.test("FNSTENV stores linear addresses when in real mode", () => {
  const our = new OurFpu(), { s, mem } = our.core;
  our.execute([0xdb, 0xe3]);
  s.u32[L.CR0 >> 2] &= ~Cr0.PE;
  s.setSeg(1, 0x1234, 0x1_2340, 0xffff, 0x9b);
  s.rip = 0x5678;
  assertEquals(our.execute([0xd9, 0xe8], 2), null);
  assertEquals(our.execute([0xd9, 0x37], 2), null);
  // 0x12340 + 0x5678 = 0x179b8; opcode D9 E8 as 11 bits: 1e8.
  assertEquals(mem.read16(0x2_0006), 0x79b8);
  assertEquals(mem.read16(0x2_0008), 0x11e8);
  assertEquals(s.u32[L.FCW >> 2] & 0x3f, 0x3f);
});

Deno.test("XSAVE and XRSTOR keep x87 and SSE state apart, and refuse a bad header", () => {
  const c = protectedMachine(0, "default,+xsave"), { s, mem } = c;
  s.u32[L.CR4 >> 2] = Cr4.OSXSAVE | Cr4.OSFXSR;
  s.setWords(L.XCR0, 3, 0);
  s.u32[L.FCW >> 2] = 0x27f;
  s.u32[L.FTW >> 2] = 0xffff;
  s.u32[L.MXCSR >> 2] = 0x1fa0;
  s.u32[L.XMM >> 2] = 0x1234;
  const masked = (name: "xsave" | "xrstor", mask: number) => {
    s.setReg(0, mask, 0);
    s.setReg(2, 0, 0);
    return c.run(name, { mem: 0x5000 });
  };
  assertEquals(c.run("xsave", { mem: 0x5010 })?.vector, 13, "64-byte alignment");
  assertEquals(masked("xsave", 2), null);
  assertEquals([mem.read16(0x5000), mem.read32(0x50a0), mem.read32(0x5200)], [0, 0x1234, 2], "SSE only");
  assertEquals(masked("xsave", 3), null);
  assertEquals([mem.read16(0x5000), mem.read32(0x5018), mem.read32(0x5200)], [0x27f, 0x1fa0, 3]);
  mem.write32(0x50a0, 0x5678);
  mem.write32(0x5200, 2);
  assertEquals(masked("xrstor", 3), null);
  assertEquals(
    [s.u32[L.FCW >> 2], s.u32[L.XMM >> 2]],
    [0x37f, 0x5678],
    "x87 is initialised when its bit is clear",
  );
  for (const [at, value] of [[0x5200, 4], [0x5208, 1], [0x5210, 1], [0x5018, 0x1_0000]]) {
    const before = mem.read32(at);
    mem.write32(at, value);
    assertEquals(masked("xrstor", 3)?.vector, 13, at.toString(16));
    mem.write32(at, before);
  }
  s.u32[L.CR4 >> 2] = 0;
  assertEquals(masked("xsave", 3)?.vector, 6);
});
