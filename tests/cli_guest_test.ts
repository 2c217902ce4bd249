import { assert, assertEquals, assertThrows } from "@std/assert";
import { cpuidSpec } from "../cli/cpuid_spec.ts";
import { UsageError } from "../cli/exit_code.ts";
import { buildGuest, type Guest, isGuest } from "../cli/guest.ts";
import { IGNORED_KEYS, KEYS } from "../cli/guest_keys.ts";
import { chooseFolder } from "../cli/output_folder.ts";
import { parseWordValue } from "../cli/xlcfg.ts";
import { parseCpuidSpec } from "../core/cpu/cpuid.ts";
import { GuestError } from "../core/config.ts";
import { demoImage } from "../guests/demo/image.ts";

const PVH = demoImage();
const FILES: Record<string, Uint8Array> = {
  "demo.elf": PVH,
  "dir/demo.elf": PVH,
  "dir/rd": Uint8Array.of(1, 2, 3),
  "raw.bin": Uint8Array.of(0xeb, 0xfe),
  "dir/g.cfg": new TextEncoder().encode(
    'name = "g"\nkernel = "demo.elf"\nramdisk = "rd"\nmemory = 64\nroot = "/dev/xvda"\nextra = "quiet"\nvif = ["x"]\npae = 0\n',
  ),
  "noext": new TextEncoder().encode('# guest\nkernel = "/abs"\n'),
  "/abs": PVH,
};

function read(path: string): Uint8Array {
  if (!Object.hasOwn(FILES, path)) throw new UsageError(`Cannot read ${path}: there is no such file.`);
  return FILES[path];
}

function guest(...words: string[]): Guest {
  const g = buildGuest(words, read);
  assert(isGuest(g));
  return g;
}

Deno.test("a PVH image is run on Xen with defaults", () => {
  const { config, images } = guest("demo.elf");
  assertEquals([config.name, config.type, config.xen, config.platform, config.acpi], [
    "demo",
    "pvh",
    true,
    "none",
    true,
  ]);
  assertEquals(images.map((i) => [i.role, i.name, i.bytes.length]), [["kernel", "demo.elf", PVH.length]]);
});

Deno.test("a .cfg file's paths are relative to it, and its keys say the rest", () => {
  const { config, images, ignored } = guest("dir/g.cfg");
  assertEquals(images.map((i) => [i.role, i.name]), [["kernel", "demo.elf"], ["ramdisk", "rd"]]);
  assertEquals([config.name, config.memoryBytes, config.cmdline, config.cpuid], [
    "g",
    64 << 20,
    "root=/dev/xvda quiet",
    "default,-pae",
  ]);
  assertEquals(ignored, ["vif"]);
});

Deno.test("words on the command line win over the file, before or after it", () => {
  assertEquals(guest("memory=256", "dir/g.cfg").config.memoryBytes, 256 << 20);
  const { config, images } = guest("dir/g.cfg", "ramdisk=", "cmdline=a=b c", "cpuid=host,sse3=0");
  assertEquals([config.cmdline, config.cpuid, images.length], ["a=b c", "default,-sse3,-pae", 1]);
});

Deno.test("a configuration is recognised without its extension", () => {
  assertEquals(guest("noext").images[0].name, "abs");
});

Deno.test("without xen a PC is there, and a serial console", () => {
  const { config } = guest("demo.elf", "xen=0");
  assertEquals([config.xen, config.platform], [false, "pc"]);
});

Deno.test("raw code needs type=flat and takes load, entry and mode", () => {
  assertThrows(() => guest("raw.bin"), UsageError, "type=flat");
  assertEquals(guest("raw.bin", "type=flat", "load=0x7c00", "mode=real").config.flat, {
    load: 0x7c00,
    entry: 0x7c00,
    mode: "real",
  });
});

Deno.test("without a guest the demo is meant, with what was set", () => {
  const draft = buildGuest(["memory=32"], read);
  assert(!isGuest(draft));
  assertEquals(draft.config.memoryBytes, 32 << 20);
});

Deno.test("mistakes in keys and values are named", () => {
  const bad: [string[], string][] = [
    [["demo.elf", "memroy=1"], 'There is no key "memroy"; did you mean memory?'],
    [["demo.elf", "qqqqqqqq=1"], "retrovisor run --help lists the keys"],
    [["demo.elf", "memory=0"], "from 1 to 3072"],
    [["demo.elf", "memory=1e3"], "from 1 to 3072"],
    [["demo.elf", "vcpus=-1"], "from 1 to 64"],
    [["demo.elf", "type=pv"], '"pv" is not supported'],
    [["demo.elf", "type=phv"], "did you mean pvh?"],
    [["demo.elf", "xen=maybe"], "takes 0 or 1"],
    [["demo.elf", "other.elf"], "one GUEST"],
    [["nosuch"], "no such file"],
    [["demo.elf", "intercepts=kmv"], "did you mean kvm?"],
    [["demo.elf", "name=['a']"], "not a list"],
    [["demo.elf", "memory=['1'"], "expected"],
    [["demo.elf", "constructor=1"], "There is no key"],
    [["demo.elf", "bios=seabios"], "path of a BIOS image"],
  ];
  for (const [words, message] of bad) assertThrows(() => buildGuest(words, read), UsageError, message);
});

Deno.test("every key of xl's PVH example is known", () => {
  for (
    const key of [
      "name",
      "uuid",
      "kernel",
      "ramdisk",
      "extra",
      "memory",
      "maxmem",
      "vcpus",
      "vif",
      "disk",
      "type",
    ]
  ) {
    assert(Object.hasOwn(KEYS, key) || IGNORED_KEYS.has(key), key);
  }
  for (const key of IGNORED_KEYS) assert(!Object.hasOwn(KEYS, key), `${key} is both`);
});

Deno.test("cpuid maps xl's words to ours, and ours pass unchanged", () => {
  const map = (text: string) => cpuidSpec(parseWordValue("cpuid", text));
  assertEquals(map("host,pae=0,SSE3=1,tm=x,ht=k"), "default,-pae,+sse3");
  assertEquals(map("pae=0"), "default,-pae");
  assertEquals(map("i686,-pae,+popcnt"), "i686,-pae,+popcnt");
  assertEquals(map("default,0x1.ecx=0x80000001"), "default,0x1.ecx=0x80000001");
  assertThrows(() => map("host,pae=2"), UsageError, "must be 0, 1, x, k or s");
  assertThrows(() => map("['0x1:ecx=x']"), UsageError, "list of registers");
});

Deno.test("cpuid of xl really denies what it says", () => {
  const spec = cpuidSpec(parseWordValue("cpuid", "host,pae=0"));
  assert(parseCpuidSpec("default").has("pae"));
  assert(!parseCpuidSpec(spec).has("pae"));
  assertThrows(() => parseCpuidSpec(cpuidSpec(parseWordValue("cpuid", "host,nosuch=0"))), GuestError);
});

Deno.test("recordings get the first free name and never write over another", () => {
  const folder = Deno.makeTempDirSync();
  try {
    assertEquals(chooseFolder("My Guest/../x", `${folder}/new`), `${folder}/new`);
    assertEquals(chooseFolder("demo", folder), folder);
    Deno.writeTextFileSync(`${folder}/file`, "");
    assertEquals(chooseFolder("My Guest/../x", folder), `${folder}/my-guest-..-x-1.trace`);
    Deno.mkdirSync(`${folder}/demo-1.trace`);
    assertEquals(chooseFolder("demo", `${folder}/`), `${folder}/demo-2.trace`);
    Deno.writeTextFileSync(`${folder}/demo-1.trace/manifest.json`, "{}");
    assertThrows(
      () => chooseFolder("demo", `${folder}/demo-1.trace`),
      UsageError,
      "already holds a recording",
    );
    assertThrows(() => chooseFolder("demo", `${folder}/file`), UsageError, "it is a file");
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
