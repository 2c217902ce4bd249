/**
 * Runs one image on QEMU TCG: `deno run -A bench/peer_qemu.ts IMAGE BITS [QEMU OPTION...]` prints a `PeerRun` as JSON.
 *
 * @module
 */
import { cpuMsOf } from "./cpu_time.ts";
import { Stopwatch } from "./peer.ts";

const [image, bits, ...options] = Deno.args;
const MACHINE = "-M pc -accel tcg -display none -monitor none -serial none -nodefaults -no-reboot -m 64 " +
  "-debugcon stdio";
const qemu = new Deno.Command(bits === "64" ? "qemu-system-x86_64" : "qemu-system-i386", {
  args: [...MACHINE.split(" "), ...options, "-kernel", image],
  stdin: "null",
  stdout: "piped",
  stderr: "piped",
}).spawn();
const watch = new Stopwatch(() => cpuMsOf(qemu.pid));
const said = new Response(qemu.stderr).text();
for await (const chunk of qemu.stdout) {
  for (const byte of chunk) watch.put(byte, null);
  // There is no exit port: the guest halts, so that its last repetition's processor time can still be read.
  if (watch.done) qemu.kill("SIGTERM");
}
await qemu.status;
if (!watch.done) throw new Error(`Cannot time the guest: QEMU ended before it did: ${(await said).trim()}`);
console.log(JSON.stringify(watch.run));
