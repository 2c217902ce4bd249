/**
 * Runs one image on npm v86, in this process: `deno run -A bench/peer_v86.ts IMAGE` prints a `PeerRun` as JSON.
 * No BIOS, no screen, no keyboard: v86 starts the Multiboot image directly.
 *
 * @module
 */
import { V86 } from "v86";
import { ownCpuMs } from "./cpu_time.ts";
import { Stopwatch } from "./peer.ts";

/** The few members of v86's object that are used here. */
interface Emulator {
  add_listener(event: string, listener: (value: number) => void): void;
  get_instruction_counter(): number;
}

const image = Deno.readFileSync(Deno.args[0]);
const watch = new Stopwatch(ownCpuMs);
const emulator = new V86({
  wasm_path: new URL("v86.wasm", import.meta.resolve("v86")).pathname,
  memory_size: 64 << 20,
  vga_memory_size: 2 << 20,
  multiboot: { buffer: image.buffer },
  autostart: true,
  disable_keyboard: true,
  disable_mouse: true,
  disable_speaker: true,
}) as unknown as Emulator;
emulator.add_listener("serial0-output-byte", (byte) => {
  watch.put(byte, emulator.get_instruction_counter());
  if (!watch.done) return;
  console.log(JSON.stringify(watch.run));
  Deno.exit(0);
});
