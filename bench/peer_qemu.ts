/**
 * Runs one image on QEMU TCG: `deno run -A bench/peer_qemu.ts IMAGE [QEMU OPTION...]` prints a `PeerRun` as JSON.
 *
 * @module
 */
import { Stopwatch } from "./peer.ts";

const [image, ...options] = Deno.args;
const watch = new Stopwatch();
const qemu = new Deno.Command("qemu-system-i386", {
  args: [
    "-M",
    "pc",
    "-accel",
    "tcg",
    "-display",
    "none",
    "-monitor",
    "none",
    "-serial",
    "none",
    "-nodefaults",
    "-no-reboot",
    "-debugcon",
    "stdio",
    "-device",
    "isa-debug-exit,iobase=0xf4",
    "-m",
    "64",
    ...options,
    "-kernel",
    image,
  ],
  stdin: "null",
  stdout: "piped",
  stderr: "null",
}).spawn();
for await (const chunk of qemu.stdout) for (const byte of chunk) watch.put(byte, null);
await qemu.status;
if (!watch.done) throw new Error("Cannot time the guest: QEMU ended before it did");
console.log(JSON.stringify(watch.run));
