import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DEFAULT_CONFIG, type MachineConfig } from "../core/config.ts";
import type { Observer } from "../core/exits.ts";
import { NoInputs } from "../core/inputs.ts";
import { createMachine } from "../core/machine.ts";
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

Deno.test("demo guest prints the computed results and powers off when run on this machine with and without Xen", () => {
  for (const xen of [true, false]) {
    const config: MachineConfig = {
      ...DEFAULT_CONFIG,
      name: "demo",
      xen,
      platform: xen ? "none" : "pc",
      memoryBytes: 32 << 20,
    };
    const image = { role: "kernel", name: "demo", bytes: demoImage() };
    const machine = createMachine(config, [image], new NoInputs());
    const text = new ConsoleText();
    machine.observer = text;
    assertEquals(machine.runUntil(100_000_000), "ended");
    assertEquals(machine.outcome?.kind, xen ? "poweroff" : "exit");
    const lines = text.text.split("\n");
    const wanted = [...demoResultLines(), "done"];
    assertEquals(lines.filter((l) => wanted.includes(l)), wanted, text.text);
    assert(lines.every((l) => !l.startsWith("exception")));
    if (xen) {
      assertStringIncludes(text.text, "Xen 4.17, booted 1000000000 s after 1970 began");
      assertStringIncludes(text.text, "sleep: 20 timer events awaited by halting");
    }
  }
});

/** Keeps what the guest prints. */
class ConsoleText implements Observer {
  text = "";
  onConsole(_icount: number, _timeNs: number, _device: string, bytes: Uint8Array): void {
    this.text += new TextDecoder().decode(bytes);
  }
  onExit(): void {}
  onHypercall(): void {}
  onInterrupt(): void {}
  onInput(): void {}
}
