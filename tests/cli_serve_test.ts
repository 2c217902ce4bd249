import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DirectoryStore } from "../traces/store.ts";
import { MAIN } from "./cli_fixture.ts";
import { ROOT } from "./sources.ts";
import { synthesize } from "./synthetic_trace.ts";

const PERMISSIONS = ["--allow-read", "--allow-net=127.0.0.1", "--allow-env", "--allow-sys=cpus"];

/** `serve` as its task starts it. */
function serve(...args: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...PERMISSIONS, MAIN, "serve", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1", RETROVISOR_DEBUG: "" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function withTrace(use: (trace: string) => Promise<void>): Promise<void> {
  const trace = await Deno.makeTempDir({ prefix: "retrovisor-serve-", suffix: ".trace" });
  try {
    synthesize(new DirectoryStore(trace), { exits: 30_000 });
    await use(trace);
  } finally {
    await Deno.remove(trace, { recursive: true });
  }
}

/** Waits for the line with the address. */
async function address(child: Deno.ChildProcess): Promise<string> {
  const reader = child.stderr.getReader(), decoder = new TextDecoder();
  let text = "";
  while (!text.includes("/ (")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(text);
    text += decoder.decode(value, { stream: true });
  }
  reader.releaseLock();
  return /http:\S+/.exec(text)![0];
}

Deno.test("serve says where, answers, and ends well at Ctrl-C although a page is open", async () => {
  await withTrace(async (trace) => {
    const child = serve(trace, "--listen", "127.0.0.1:0").spawn();
    const url = await address(child);
    // A client that keeps its connections, as browsers do.
    const client = Deno.createHttpClient({ poolIdleTimeout: 60_000 });
    try {
      let overview: { reading?: number; panels?: { exits: number } } = { reading: 0 };
      while (overview.reading !== undefined) {
        overview = await (await fetch(`${url}api/overview?buckets=10`, { client })).json();
      }
      assertEquals(overview.panels?.exits, 30_000);

      const second = await serve(trace, "--listen", new URL(url).host).output();
      assertEquals(second.code, 2);
      assertStringIncludes(new TextDecoder().decode(second.stderr), `Cannot listen on ${new URL(url).host}`);

      const from = performance.now();
      child.kill("SIGINT");
      const { code } = await child.status;
      assertEquals(code, 0);
      assert(performance.now() - from < 10_000);
    } finally {
      client.close();
      await child.stdout.cancel();
      await child.stderr.cancel();
    }
  });
});

Deno.test("serve ends with the place of the damage when a recording is damaged", async () => {
  await withTrace(async (trace) => {
    const file = await Deno.open(`${trace}/exits.arrows`, { read: true, write: true });
    await file.seek(-5000, Deno.SeekMode.End);
    await file.write(new Uint8Array(64).fill(0xa5));
    file.close();
    const { code, stderr } = await serve(trace, "--listen", "127.0.0.1:0").output();
    assertEquals(code, 4);
    assertStringIncludes(new TextDecoder().decode(stderr), "table exits");
  });
});

Deno.test("serve explains what it cannot use", async () => {
  await withTrace(async (trace) => {
    const cases: [args: string[], part: string][] = [
      [[], "needs a recording"],
      [[trace, "--listen", "nonsense"], "HOST:PORT"],
      [[trace, "--listen", "127.0.0.1:99999"], "HOST:PORT"],
      [[`${trace}/nothing`], "no such folder"],
      [[trace, "--port", "1"], "--port"],
    ];
    for (const [args, part] of cases) {
      const { code, stderr } = await serve(...args).output();
      assertEquals(code, 2, args.join(" "));
      assertStringIncludes(new TextDecoder().decode(stderr), part);
    }
  });
});
