/**
 * Replays the recording named on the command line from its start, in a process of its own, and prints what it found.
 * The second argument is how often a block runs before it is compiled (0: everything is interpreted).
 */
import { createMachine } from "../core/machine.ts";
import { replay } from "../replay/replayer.ts";

const jitThreshold = Number(Deno.args[1]);
const r = await replay(Deno.args[0], {
  createMachine: (config, images, inputs) => createMachine(config, images, inputs, { jitThreshold }),
});
const { icount, exits, hypercalls, checkpoints, stateHash } = r;
console.log(JSON.stringify({
  divergence: r.divergence?.print() ?? null,
  icount,
  exits,
  hypercalls,
  checkpoints,
  stateHash,
}));
