import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { atPrompt, BOOTS, checkIdentity, FULL, IDENTITY, isFetched, testIf, withBoot } from "./linux.ts";
import { type Facts, recorded, unrecorded } from "./recording.ts";

for (const boot of BOOTS) {
  testIf(FULL || boot.everyday, {
    name: `Linux ${boot.name} reaches its shell and powers off, recorded and replayed`,
    ignore: !isFetched(boot),
    fn: () =>
      withBoot(boot, {}, (args) =>
        recorded(args, atPrompt(...IDENTITY, "poweroff -f"), async (r) => {
          checkIdentity(boot, r.console);
          assertEquals([r.facts.outcome, r.code], ["poweroff", 0]);
          const typed = await r.query("SELECT count(*)::INTEGER AS n FROM inputs WHERE kind = 'console'");
          assertEquals(typed[0].n, IDENTITY.length + 1);
        })),
  });

  testIf(FULL, {
    name: `Linux ${boot.name} reboots when asked to`,
    ignore: !isFetched(boot),
    fn: () =>
      withBoot(boot, { cmdline: "quiet" }, async (args) => {
        const ran = await unrecorded(args, atPrompt("reboot -f"));
        assertStringIncludes(ran.err, "reboot: ");
        assertEquals(ran.code, 0, ran.err);
      }),
  });
}

/** Facts of a recording of a kernel with several processors. */
async function severalCpus(boot: typeof BOOTS[number], vcpus: number, seed: number): Promise<Facts> {
  let facts: Facts | null = null;
  const work = "for i in 1 2 3 4; do (seq 1 500 | sort -rn | md5sum) & done; wait";
  await withBoot(
    boot,
    { vcpus, seed },
    (args) =>
      recorded(args, atPrompt(...IDENTITY, work, "poweroff -f"), (r) => {
        checkIdentity(boot, r.console, vcpus);
        assertStringIncludes(r.console, `smp: Brought up 1 node, ${vcpus} CPUs`);
        const sums = r.console.match(/^[0-9a-f]{32} {2}-/gm) ?? [];
        assertEquals([sums.length, new Set(sums).size], [4, 1]);
        assertEquals(r.facts.outcome, "poweroff");
        facts = r.facts;
        return Promise.resolve();
      }),
  );
  return facts!;
}

for (
  const [boot, vcpus, everyday] of [[BOOTS[0], 2, true], [BOOTS[0], 4, false], [BOOTS[2], 2, false], [
    BOOTS[1],
    4,
    false,
  ]] as const
) {
  testIf(FULL || everyday, {
    name: `Linux ${boot.name} with ${vcpus} vCPUs: equal seeds give equal recordings, other seeds other ones`,
    ignore: !isFetched(boot),
    fn: async () => {
      const first = await severalCpus(boot, vcpus, 1);
      if (!FULL) return;
      assertEquals(await severalCpus(boot, vcpus, 1), first);
      const other = await severalCpus(boot, vcpus, 2);
      assertNotEquals(other.state_hash, first.state_hash);
    },
  });
}

Deno.test({
  name: "Linux cloud-amd64 on Xen: two runs with the same inputs end in the same state",
  ignore: !isFetched(BOOTS[0]),
  fn: () =>
    // With the kernel's address space randomised: its entropy is the time stamp counter, which is ours.
    withBoot(BOOTS[0], { cmdline: "quiet" }, async (args) => {
      const script = atPrompt(
        "head -c 64 /dev/urandom | md5sum; cat /proc/sys/kernel/random/boot_id",
        "poweroff -f",
      );
      const hashes: string[] = [];
      for (let i = 0; i < 2; i++) {
        await recorded(args, script, (r) => {
          hashes.push(r.facts.state_hash, r.console);
          return Promise.resolve();
        });
      }
      assertEquals(hashes.slice(0, 2), hashes.slice(2));
      assert(/[0-9a-f]{32} {2}-/.test(hashes[1]));
    }),
});
