import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { GuestError } from "../core/config.ts";
import { type CpuidContext, parseCpuidSpec } from "../core/cpu/cpuid.ts";
import { FEATURES, WORD_PLACES } from "../core/cpu/cpuid_features.ts";
import { PRESETS } from "../core/cpu/cpuid_presets.ts";
import { cr4Valid, eferValid } from "../core/cpu/system/crs.ts";
import { Cr4, Efer } from "../core/cpu/state.ts";

const CTX: CpuidContext = { apicId: 0, vcpus: 1, cr4: 0, xcr0: 1 };

function text(words: number[]): string {
  const bytes = new Uint8Array(new Uint32Array(words).buffer);
  return new TextDecoder().decode(bytes).replace(/\0+$/, "");
}

Deno.test("cpuid policy answers vendor, brand and sizes when the preset is default", () => {
  const p = parseCpuidSpec("default");
  let r = p.cpuid(0, 0, CTX);
  assertEquals(text([r.ebx, r.edx, r.ecx]), "AuthenticAMD");
  assertEquals(r.eax, 0xd);
  const words: number[] = [];
  for (let leaf = 0x8000_0002; leaf <= 0x8000_0004; leaf++) {
    r = p.cpuid(leaf, 0, CTX);
    words.push(r.eax, r.ebx, r.ecx, r.edx);
  }
  assertEquals(text(words), "Retrovisor Virtual CPU");
  assertEquals(p.cpuid(0x8000_0008, 0, CTX).eax, 48 << 8 | 40);
});

Deno.test("cpuid policy encodes family and model as the manual says when fields are extended", () => {
  const signature = (spec: string) => parseCpuidSpec(spec).cpuid(1, 0, CTX).eax;
  // Family 0x17 = 15 + 8, model 1, stepping 2; family 6, model 0x3a, stepping 9.
  assertEquals(signature("default"), 0x0080_0f12);
  assertEquals(signature("intel"), 0x0003_06a9);
  assertEquals(signature("pentium"), 0x52c);
});

Deno.test("cpuid policy denies dependents when PAE is denied", () => {
  const p = parseCpuidSpec("default,-pae");
  for (const name of ["pae", "lm", "nx", "pdpe1gb", "lahf_lm", "cx16", "fsgsbase"]) {
    assert(!p.has(name), name);
  }
  assertEquals(p.cpuid(1, 0, CTX).edx >>> 6 & 1, 0);
  assertEquals(p.cpuid(0x8000_0001, 0, CTX).edx & (1 << 29 | 1 << 20), 0);
  assertEquals(cr4Valid(p) & Cr4.PAE, 0);
  assertEquals(eferValid(p) & (Efer.LME | Efer.NXE), 0);
  assert(p.has("sse2"));
});

Deno.test("cpuid policy claims prerequisites when a feature is claimed", () => {
  const p = parseCpuidSpec("486,+sse2");
  for (const name of ["sse2", "sse", "fxsr", "mmx", "fpu"]) assert(p.has(name), name);
});

Deno.test("cpuid policy gives zeros beyond its last leaf when asked", () => {
  for (const name of Object.keys(PRESETS)) {
    const p = parseCpuidSpec(name);
    for (const leaf of [p.maxBasic + 1, 0x4000_0000, Math.max(0x8000_0000, p.maxExtended + 1), 0xffff_ffff]) {
      assertEquals(
        { ...p.cpuid(leaf, 0, CTX) },
        { eax: 0, ebx: 0, ecx: 0, edx: 0 },
        `${name} ${leaf.toString(16)}`,
      );
    }
  }
});

Deno.test("cpuid policy obeys raw overrides when they name a feature word, a limit or a subleaf", () => {
  const p = parseCpuidSpec("default,0x1.ecx=0x1,0x0.eax=7,0x7.0.edx=0x10,0xb.1.ebx=3");
  assertEquals(p.cpuid(1, 0, CTX).ecx, 1);
  assert(p.has("pni") && !p.has("cx16"));
  assertEquals(p.maxBasic, 7);
  assertEquals(p.cpuid(7, 0, CTX).edx, 0x10);
  assertEquals(p.cpuid(7, 1, CTX).edx, 0);
});

Deno.test("cpuid policy shows dynamic bits when CR4.OSXSAVE is set or there are more vCPUs", () => {
  const p = parseCpuidSpec("default,+xsave", { hypervisor: true });
  assertEquals(p.cpuid(1, 0, CTX).ecx >>> 26, 0b100001);
  assertEquals(p.cpuid(1, 0, { ...CTX, cr4: Cr4.OSXSAVE }).ecx >>> 26, 0b100011);
  const four = { ...CTX, vcpus: 4, apicId: 6, apicIdShift: 1 };
  assertEquals(p.cpuid(1, 0, four).edx >>> 28 & 1, 1);
  assertEquals(p.cpuid(1, 0, four).ebx >>> 24, 6);
  assertEquals(p.cpuid(0x8000_0008, 0, four).ecx & 0xff, 3);
  const topology = p.cpuid(0xb, 1, four);
  assertEquals([topology.eax, topology.ebx, topology.ecx, topology.edx], [3, 4, 0x201, 6]);
  const area = p.cpuid(0xd, 0, CTX);
  assertEquals([area.eax, area.ebx, area.ecx], [3, 576, 576]);
});

Deno.test("cpuid text is refused with a hint when it cannot be used", () => {
  const message = (spec: string) => assertThrows(() => parseCpuidSpec(spec), GuestError).message;
  assertStringIncludes(message("default,-pea"), "did you mean pae");
  assertStringIncludes(message("defualt"), "must start with a preset");
  assertStringIncludes(message("default,+avx"), "does not implement");
  assertStringIncludes(message("default,pae"), "+feature, -feature");
  assertStringIncludes(message("default,1.eex=3"), "0xLEAF");
  assertStringIncludes(message("default,0x1.eax=0x100000000"), "0xLEAF");
  assertStringIncludes(message("default," + "x".repeat(5000)), "longer than");
});

const hostFlags = await readFlags();

async function readFlags(): Promise<string[]> {
  try {
    // Deno reads /proc only with all permissions; `cat` needs none of them.
    const { stdout } = await new Deno.Command("cat", { args: ["/proc/cpuinfo"] }).output();
    const info = new TextDecoder().decode(stdout);
    await new Deno.Command("gcc", { args: ["--version"], stdout: "null", stderr: "null" }).output();
    return /^flags\s*: (.*)$/m.exec(info)?.[1].split(" ") ?? [];
  } catch {
    return [];
  }
}

Deno.test({
  name: "cpuid feature bits are where the host processor has them when the host kernel names a flag",
  ignore: hostFlags.length === 0 || Deno.build.arch !== "x86_64",
  async fn() {
    const dir = await Deno.makeTempDir();
    const places = WORD_PLACES.map(([leaf, sub, reg]) => `{${leaf}u,${Math.max(0, sub)}u,${reg}}`).join(",");
    await Deno.writeTextFile(
      `${dir}/words.c`,
      `#include <cpuid.h>
#include <stdio.h>
int main(void) {
  static const unsigned places[][3] = {${places}};
  for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
    unsigned r[4] = {0};
    __get_cpuid_count(places[i][0], places[i][1], r, r + 1, r + 2, r + 3);
    printf("%u\\n", r[places[i][2]]);
  }
}`,
    );
    const built = await new Deno.Command("gcc", { args: ["-o", `${dir}/words`, `${dir}/words.c`] }).output();
    assert(built.success, new TextDecoder().decode(built.stderr));
    const run = await new Deno.Command(`${dir}/words`).output();
    const words = new TextDecoder().decode(run.stdout).trim().split("\n").map(Number);
    await Deno.remove(dir, { recursive: true });
    const known = hostFlags.filter((f) => FEATURES.has(f));
    assert(known.length > 30);
    // The kernel derives these from elsewhere on some processors.
    const derived = new Set(["nonstop_tsc", "arat", "ht"]);
    for (const name of known) {
      const f = FEATURES.get(name)!;
      if (!derived.has(name)) assertEquals(words[f.word] >>> f.bit & 1, 1, name);
    }
  },
});
