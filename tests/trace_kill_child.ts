/** Records the fake machine into the folder named on the command line until it is killed. */
import { DirectoryStore } from "../traces/store.ts";
import { FAKE_CONFIG } from "./trace_fake_machine.ts";
import { recordFake } from "./trace_fixture.ts";

const store = new DirectoryStore(Deno.args[0]);
store.make();
console.log("recording");
await recordFake(store, { batchRows: 8192, checkpointInterval: 0, commitInterval: 500_000 }, {
  ...FAKE_CONFIG,
  cmdline: "end=1000000000 every=5 awake=1",
});
