import { assert, assertEquals } from "@std/assert";
import { DEFAULT_CONFIG, type MachineConfig } from "../../core/config.ts";
import type { ExitEvent, Observer } from "../../core/exits.ts";
import { NoInputs } from "../../core/inputs.ts";
import { createMachine } from "../../core/machine.ts";
import { guestPath } from "./manifest.ts";

/** Counts exits by reason, and mixes their icounts into one number. */
class Tally implements Observer {
  readonly counts = new Map<number, number>();
  mix = 0;
  onExit(e: ExitEvent): void {
    this.counts.set(e.reason, (this.counts.get(e.reason) ?? 0) + 1);
    this.mix = (Math.imul(this.mix, 31) + e.icount + e.reason) | 0;
  }
  onHypercall(): void {}
  onInterrupt(): void {}
  onConsole(): void {}
  onInput(): void {}
}

const linux = guestPath("linux-cloud");

Deno.test({
  name: "Linux leaves the same exits and the same state however its run is sliced",
  ignore: linux === null,
  fn: async () => {
    const end = 180_000_000;
    const bytes = await Deno.readFile(linux!);
    const config: MachineConfig = {
      ...DEFAULT_CONFIG,
      memoryBytes: 256 << 20,
      cmdline: "console=hvc0 earlyprintk=xen nokaslr",
    };
    const results = [end, 999_983, 997].map((slice) => {
      const machine = createMachine(config, [{ role: "kernel", name: "linux", bytes }], new NoInputs());
      const tally = new Tally();
      machine.observer = tally;
      while (machine.icount < end) {
        assertEquals(machine.runUntil(Math.min(end, machine.icount + slice)), "limit");
      }
      return [Object.fromEntries(tally.counts), tally.mix, new TextDecoder().decode(machine.saveState())];
    });
    assert(Object.keys(results[0][0]).length > 5);
    for (const other of results.slice(1)) assertEquals(other, results[0]);
  },
});
