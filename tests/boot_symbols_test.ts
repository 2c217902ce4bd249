import { assert, assertEquals } from "@std/assert";
import { extractSymbols } from "../core/boot/symbols.ts";
import { GuestError } from "../core/config.ts";
import { demoImage } from "../guests/demo/image.ts";
import { makeElf, seededRandom } from "./boot_images.ts";
import { hasProgram } from "./programs.ts";

/** Code symbols as binutils' nm sees them: address and size in hexadecimal, type, name. */
async function nm(bytes: Uint8Array): Promise<string[]> {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeFile(file, bytes);
    const { stdout } = await new Deno.Command("nm", { args: ["-nS", "--defined-only", file] }).output();
    return new TextDecoder().decode(stdout).trim().split("\n").filter((l) => / [tT] /.test(l));
  } finally {
    await Deno.remove(file);
  }
}

Deno.test({
  name: "symbols of an ELF64 image are those that nm prints",
  ignore: !hasProgram("nm"),
  fn: async () => {
    const theirs = await nm(demoImage());
    const hex = (n: number | bigint): string => n.toString(16).padStart(16, "0");
    const ours = extractSymbols("demo", demoImage()).map((s) => `${hex(s.start)} ${hex(s.size)} T ${s.name}`);
    assertEquals(ours, theirs);
    assert(ours.length > 40);
  },
});

Deno.test({
  name: "symbols of an ELF32 program are those that nm prints",
  ignore: !hasProgram("nm") || !hasProgram("gcc"),
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(
        `${folder}/a.c`,
        "int one(void){return 1;} static int two(int x){return x+one();} int _start(void){return two(3);}",
      );
      const flags = "-m32 -O0 -nostdlib -static -fno-pie -no-pie -fno-asynchronous-unwind-tables -o".split(
        " ",
      );
      const { success } = await new Deno.Command("gcc", { args: [...flags, `${folder}/a`, `${folder}/a.c`] })
        .output();
      assert(success);
      const bytes = await Deno.readFile(`${folder}/a`);
      const theirs = (await nm(bytes)).map((l) => l.replace(/ [tT] /, " "));
      const hex = (n: number | bigint): string => n.toString(16).padStart(8, "0");
      const ours = extractSymbols("a", bytes).filter((s) => s.size > 0);
      assertEquals(
        ours.map((s) => `${hex(s.start)} ${hex(s.size)} ${s.name}`).sort(),
        theirs.filter((l) => / .* /.test(l)).sort(),
      );
      assert(ours.length >= 3);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("symbols are none when the image has no table and an error when it is no image", () => {
  assertEquals(extractSymbols("bare", makeElf()), []);
  assertEquals(extractSymbols("text", new TextEncoder().encode("hello")), []);
});

Deno.test("symbol extraction ends cleanly when the image's tables are damaged", () => {
  const image = demoImage(), random = seededRandom(7);
  let empty = 0;
  for (let i = 0; i < 2000; i++) {
    const bytes = image.slice();
    // The section headers lie behind the code, and the ELF header says where.
    const table = new DataView(bytes.buffer).getUint32(40, true);
    for (let n = 1 + random() % 3; n > 0; n--) {
      bytes[random() % 4 === 0 ? random() % 64 : table + random() % 384] = random();
    }
    try {
      const symbols = extractSymbols("demo", bytes);
      assert(
        symbols.length <= bytes.length / 24 && symbols.every((s) => s.size >= 0 && /^[ -~]+$/.test(s.name)),
      );
      if (symbols.length === 0) empty++;
    } catch (e) {
      assert(e instanceof GuestError, `seed 7, mutation ${i}: ${e}`);
    }
  }
  assert(empty > 50 && empty < 1950, `${empty} of 2000 gave no symbols`);
});
