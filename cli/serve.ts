/**
 * `retrovisor serve`: the page of a recording of any size.
 *
 * @module
 */
import { bundleSource } from "../analysis/source.ts";
import { traceSummary } from "../analysis/summary.ts";
import { grouped } from "../analysis/text.ts";
import { Bundle } from "../traces/bundle.ts";
import { PageError } from "../web/page/assets.ts";
import { type ServeOptions, TraceServer } from "../web/serve/server.ts";
import { ExitCode, UsageError } from "./exit_code.ts";
import { note } from "./io.ts";
import { listenError, listenOption, shownHost } from "./listen.ts";
import { TextLine } from "./progress.ts";
import { limitArgs, SYMBOLS_OPTION, symbolsOption, tracePath } from "./trace_args.ts";
import type { Given, Verb } from "./verb.ts";

const DEFAULT_PLACE = "127.0.0.1:8080";

/** The verb. */
export const serveVerb: Verb = {
  name: "serve",
  summary: "Serve a recording to a browser, whatever its size.",
  usage: "TRACE",
  options: [
    { name: "listen", value: "HOST:PORT", help: `Where (default ${DEFAULT_PLACE}; port 0: any).` },
    SYMBOLS_OPTION,
  ],
  notes: `
The page is that of report --html; the recording stays here, and the browser gets what it shows. Whoever can connect can read
the whole recording and ask it in SQL (nothing can be changed, no other file be read), so listen on loopback unless you mean
it. Ctrl-C ends.`,
  examples: [
    ["serve boot.trace", `Open http://${DEFAULT_PLACE}/ in a browser.`],
    ["serve boot.trace --listen 127.0.0.1:0", "On a free port, which is printed."],
  ],
  run: serve,
};

async function serve(given: Given): Promise<number> {
  const path = tracePath(given, "serve");
  limitArgs(given, "serve", 1);
  const place = listenOption(given.values.listen, DEFAULT_PLACE), symbols = symbolsOption(given);
  // Every block is checked when it is read, which happens once.
  const bundle = Bundle.open(path, { verify: false });
  try {
    const summary = traceSummary(bundle);
    if (bundle.notice !== null) note(`retrovisor: ${bundle.notice}`);
    const server = await startServer({ ...place, trace: path, symbols: given.values.symbols ?? null });
    note(
      `${grouped(summary.exits)} exits at http://${shownHost(place.hostname)}:${server.port}/ (Ctrl-C ends)`,
    );
    const stop = () => void server.close();
    Deno.addSignalListener("SIGINT", stop);
    const line = new TextLine();
    try {
      await server.read(bundle, bundleSource(bundle, symbols), summary, (share) => {
        line.update(() => `reading the recording: ${Math.round(share * 100)}%`);
      });
      line.clear();
      await server.finished;
    } finally {
      line.clear();
      Deno.removeSignalListener("SIGINT", stop);
      await server.close();
    }
  } finally {
    bundle.close();
  }
  return ExitCode.OK;
}

async function startServer(options: ServeOptions): Promise<TraceServer> {
  try {
    return await TraceServer.start(options);
  } catch (error) {
    if (error instanceof PageError) throw new UsageError(error.message);
    throw listenError(error, options);
  }
}
