import { assert, assertEquals } from "@std/assert";
import { busyboxPath } from "./initramfs.ts";
import { BOOTS, FULL, isFetched, type LinuxBoot, testIf, withBoot } from "./linux.ts";
import { recorded, unrecorded } from "./recording.ts";
import { USERLAND, userlandOnHost, userlandOutput } from "./userland.ts";

/** What the script says where it is: standard error goes nowhere in both places. */
const SCRIPT = `mkdir /tmp/work && cd /tmp/work && sh /userland 2>/dev/null\npoweroff -f\n`;

function agrees(boot: LinuxBoot, replay: boolean): Promise<void> {
  const options = { cmdline: "quiet", script: SCRIPT, files: { userland: USERLAND }, instructions: "20000M" };
  return withBoot(boot, options, async (args) => {
    const wanted = await userlandOnHost(busyboxPath(boot.arch)!);
    assert(wanted.length > 10_000, "the script did its work on the host");
    const check = (console: string): void => assertEquals(userlandOutput(console), wanted);
    if (replay) await recorded(args, "", (r) => Promise.resolve(check(r.console)));
    else check((await unrecorded(args, "")).out);
  });
}

// 32-bit busybox computes with the x87, 64-bit busybox with SSE2: their outputs differ, and so they must here.
for (const boot of BOOTS) {
  const everyday = boot === BOOTS[0];
  testIf(FULL || everyday, {
    name: `userland of Linux ${boot.name} prints what the same busybox prints on the host`,
    ignore: !isFetched(boot) || Deno.build.arch !== "x86_64",
    fn: () => agrees(boot, FULL),
  });
}
