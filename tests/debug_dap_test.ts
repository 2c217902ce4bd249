import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { DebugClient } from "@vscode/debugadapter-testsupport";
import { demoImage } from "../guests/demo/image.ts";
import { GdbServer } from "../replay/gdb/listener.ts";
import { demoSymbol, open, recordDemo } from "./debug_fixture.ts";
import { hasProgram } from "./programs.ts";

/** Longest wait for an event, in milliseconds. */
const PATIENCE_MS = 60_000;

/** The adapter as a program that an editor would start, listening on a port that is free. */
async function startAdapter(): Promise<{ port: number; child: Deno.ChildProcess }> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 }), { port } = listener.addr;
  listener.close();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "npm:cdt-gdb-adapter@1.7.0/cdtDebugTargetAdapter", `--server=${port}`],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  // It says when it listens, and breaks when nobody listens to what it says later.
  const { promise: listening, resolve } = Promise.withResolvers<void>();
  (async () => {
    let said = "";
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      said += text;
      if (said.includes("waiting for debug protocol")) resolve();
    }
    resolve();
  })();
  await listening;
  // It says so a little before it is true.
  for (let n = 0; n < 200; n++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      break;
    } catch (e) {
      if (!(e instanceof Deno.errors.ConnectionRefused)) throw e;
      await new Promise((r) => setTimeout(r, 50));
    }
  }
  return { port, child };
}

Deno.test({
  name: "an editor's debug adapter breaks, looks and goes backwards in a recording",
  ignore: !hasProgram("gdb"),
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const { store } = await recordDemo(), o = open(store), folder = await Deno.makeTempDir();
    const server = new GdbServer(o.traveler, o.target, "127.0.0.1", 0), serving = server.serve();
    const adapter = await startAdapter(), client = new DebugClient("", "", "gdbtarget");
    try {
      await Deno.writeFile(`${folder}/demo.elf`, demoImage());
      client.defaultTimeout = PATIENCE_MS;
      await client.start(adapter.port);
      let printed = "";
      client.on("output", (e) => printed += e.body.output);
      await client.initializeRequest();
      const initialized = client.waitForEvent("initialized");
      const target = { type: "remote", host: "127.0.0.1", port: String(server.port) };
      const attached = client.attachRequest({ program: `${folder}/demo.elf`, gdb: "gdb", target } as never);
      await initialized;
      const set = await client.setFunctionBreakpointsRequest({ breakpoints: [{ name: "quicksort" }] });
      assertEquals(set.body.breakpoints.map((b) => b.verified), [true]);
      const stopped = async (go: () => Promise<unknown>) => {
        const event = client.waitForEvent("stopped", PATIENCE_MS);
        await go();
        return (await event).body as { reason: string; threadId: number };
      };
      const first = await stopped(() => client.configurationDoneRequest());
      await attached;
      assertEquals(first.reason, "function breakpoint");
      const { threadId } = first;
      const frames = async () =>
        (await client.stackTraceRequest({ threadId })).body.stackFrames.map((f) => f.name);
      assertEquals((await frames())[0], "quicksort");
      const { threads } = (await client.threadsRequest()).body;
      assertMatch(threads[0].name, /vCPU 0 \(running\)/);
      // What the adapter has no request for is a command of gdb's.
      const gdb = (expression: string) =>
        client.evaluateRequest({ expression: `>${expression}`, context: "repl" });
      assertEquals((await stopped(() => gdb("reverse-stepi"))).reason, "step");
      await stopped(() => gdb("reverse-continue"));
      await gdb("monitor when");
      assertStringIncludes(printed, "icount 0 of ");
      await stopped(() => client.continueRequest({ threadId }));
      assertEquals((await frames())[0], "quicksort");
      const memory = await client.customRequest("readMemory", {
        memoryReference: `0x${demoSymbol("quicksort").toString(16)}`,
        count: 4,
      });
      const at = demoSymbol("quicksort");
      assertEquals(atob(memory.body.data), String.fromCharCode(...o.target.read(0, at, 4)));
      await client.disconnectRequest();
    } finally {
      await client.stop();
      adapter.child.kill();
      await adapter.child.status;
      server.close();
      await serving;
      await Deno.remove(folder, { recursive: true });
    }
  },
});
