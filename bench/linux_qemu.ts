/**
 * Boots Linux to its prompt on QEMU: `deno run -A bench/linux_qemu.ts JSON` with the arguments of `bootQemu`; prints a
 * `BootRun` as JSON. A process of its own, because only one with all permissions may look at another's /proc.
 *
 * @module
 */
import { bootQemu } from "./linux_peer.ts";

console.log(JSON.stringify(await bootQemu(...JSON.parse(Deno.args[0]) as Parameters<typeof bootQemu>)));
