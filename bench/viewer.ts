/**
 * How quickly the viewer shows a large recording: `deno task bench:viewer [--exits N]`.
 *
 * Makes a recording, serves it as users do, opens the page in headless Chromium as soon as the server answers, and brushes.
 * Processor time is printed beside wall time, because only the former means something on a busy machine.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { grouped } from "../analysis/text.ts";
import { DirectoryStore } from "../traces/store.ts";
import { type Page, withBrowser } from "../tests/browser.ts";
import { synthesize } from "../tests/synthetic_trace.ts";
import { median } from "./statistics.ts";

const MAIN = new URL("../cli/main.ts", import.meta.url).pathname;
const PERMISSIONS = ["--allow-read", "--allow-net", "--allow-env=RETROVISOR_DEBUG", "--allow-sys=cpus"];
/** What is promised, milliseconds. */
const FIRST_PLOT_MS_MAX = 5000, BRUSH_MS_MAX = 200;
const BRUSHES = 20;

/** One serving process. */
interface Server {
  url: string;
  child: Deno.ChildProcess;
  /** Milliseconds of processor time that it has used. */
  cpuMs(): number;
  memoryMiB(): number;
}

async function startServer(trace: string): Promise<Server> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", ...PERMISSIONS, MAIN, "serve", trace, "--listen", "127.0.0.1:0"],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const reader = child.stderr.getReader(), decoder = new TextDecoder();
  let text = "";
  while (!/http:\S+\//.test(text)) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`The server did not start: ${text}`);
    text += decoder.decode(value, { stream: true });
  }
  // Deno reads nothing in /proc without every permission.
  const field = (file: string) => {
    const { stdout } = new Deno.Command("cat", { args: [`/proc/${child.pid}/${file}`] }).outputSync();
    return new TextDecoder().decode(stdout);
  };
  return {
    url: /http:\S+\//.exec(text)![0],
    child,
    // Fields 14 and 15 of proc(5)'s stat, in hundredths of a second; the command's name may have spaces.
    cpuMs: () => {
      const fields = field("stat").replace(/^.*\) /, "").split(" ");
      return (Number(fields[11]) + Number(fields[12])) * 10;
    },
    memoryMiB: () => Number(/VmRSS:\s+(\d+)/.exec(field("status"))?.[1]) / 1024,
  };
}

async function brushes(page: Page): Promise<number[]> {
  const times: number[] = [];
  for (let k = 0; k < BRUSHES; k++) {
    const before = await page.evaluate<number>("retrovisor.timings.brushes");
    const from = k / BRUSHES * 0.7;
    await page.evaluate(
      `(() => { const w = ${await page.evaluate("retrovisor.endNs")};
        retrovisor.select({ startNs: w * ${from}, endNs: w * ${from + 0.3} }, true); })()`,
    );
    await page.until(`retrovisor.timings.brushes > ${before} && retrovisor.settled()`);
    times.push(await page.evaluate<number>("retrovisor.timings.brush"));
  }
  return times;
}

function line(name: string, value: string): void {
  console.log(`${name.padEnd(46)}${value}`);
}

const ms = (n: number) => `${Math.round(n)} ms`;

async function measure(trace: string, exits: number): Promise<boolean> {
  let good = false;
  const started = performance.now(), server = await startServer(trace);
  try {
    await withBrowser(async (page) => {
      await page.look("light", 1440, 1000);
      const opened = performance.now();
      await page.go(server.url);
      await page.until("globalThis.retrovisor");
      const first = await page.evaluate<number>("retrovisor.timings.firstPlot");
      await page.until("document.documentElement.dataset.ready", 300_000);
      const all = await page.evaluate<number>("retrovisor.timings.interactive");
      line("exits", grouped(exits));
      line("page opened after the server's start", ms(opened - started));
      line("first plot, from opening", `${ms(first)} (at most ${ms(FIRST_PLOT_MS_MAX)})`);
      line("everything read, from opening", `${ms(all)}, ${ms(server.cpuMs())} of processor time`);
      await page.go(`${server.url}?again`);
      await page.until("document.documentElement.dataset.ready");
      line("opened again, once read", ms(await page.evaluate<number>("retrovisor.timings.interactive")));
      const cpu = server.cpuMs(), pageCpu = await page.cpuSeconds();
      const times = await brushes(page), middle = median(times);
      const worst = times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.95)];
      line(
        "brush to all panels, median",
        `${ms(middle)} (at most ${ms(BRUSH_MS_MAX)}); 95 of 100 below ${ms(worst)}`,
      );
      line(
        "processor time a brush",
        `${ms((server.cpuMs() - cpu) / BRUSHES)} server, ${
          ms((await page.cpuSeconds() - pageCpu) * 1000 / BRUSHES)
        } page`,
      );
      line("memory of the server", `${Math.round(server.memoryMiB())} MiB`);
      line("memory of the page's scripts", `${Math.round(await page.heapBytes() / 2 ** 20)} MiB`);
      for (const e of page.errors) line("error on the page", e);
      good = first <= FIRST_PLOT_MS_MAX && middle <= BRUSH_MS_MAX && page.errors.length === 0;
    });
  } finally {
    server.child.kill("SIGINT");
    await server.child.stderr.cancel().catch(() => {});
    await server.child.status;
  }
  return good;
}

const options = parseArgs(Deno.args, { string: ["exits", "trace"] });
const exits = Number(options.exits ?? 10_000_000);
let folder = options.trace;
if (folder === undefined) {
  folder = await Deno.makeTempDir({ prefix: "retrovisor-viewer-" });
  synthesize(new DirectoryStore(folder), { exits, vcpus: 4 });
}
try {
  const good = await measure(folder, exits);
  console.log(good ? "within its limits" : "NOT within its limits");
  if (!good) Deno.exitCode = 1;
} finally {
  if (options.trace === undefined) await Deno.remove(folder, { recursive: true });
}
