import { assertEquals, assertStringIncludes } from "@std/assert";
import { assembleDemo, sha256 } from "../guests/demo/build.ts";
import { DEMO_SHA256, demoImage } from "../guests/demo/image.ts";
import { demoResultLines } from "./demo_expected.ts";
import { hasProgram } from "./programs.ts";

Deno.test("demo image is intact when decoded", async () => {
  assertEquals(await sha256(demoImage()), DEMO_SHA256);
});

Deno.test({
  name: "demo image is byte for byte what its source assembles to",
  ignore: !hasProgram("nasm"),
  fn: async () => assertEquals(await sha256(await assembleDemo()), DEMO_SHA256),
});

Deno.test({
  name: "demo guest prints the computed results and ends well when QEMU runs it",
  ignore: !hasProgram("qemu-system-x86_64"),
  fn: async () => {
    const image = await Deno.makeTempFile({ suffix: ".elf" });
    try {
      await Deno.writeFile(image, demoImage());
      const machine = "-nodefaults -display none -serial stdio -no-reboot -accel tcg -m 32 -cpu qemu64".split(
        " ",
      );
      const qemu = new Deno.Command("qemu-system-x86_64", {
        args: [
          ...machine,
          "-device",
          "isa-debug-exit,iobase=0xf4,iosize=4",
          "-kernel",
          image,
          "-append",
          "a b",
        ],
        stdin: "null",
        signal: AbortSignal.timeout(60_000),
      });
      const { code, stdout } = await qemu.output();
      const lines = new TextDecoder().decode(stdout).trim().split("\n").map((l) => l.trim());
      assertEquals(code, 1, "isa-debug-exit reports 2 * 0 + 1");
      assertStringIncludes(lines[1], 'command line: "a b"');
      assertEquals(lines.slice(2), [...demoResultLines(), "done"]);
    } finally {
      await Deno.remove(image);
    }
  },
});
