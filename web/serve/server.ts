/**
 * Serves the page and its answers for one recording.
 *
 * @module
 */
import type { TraceSource } from "../../analysis/loader.ts";
import type { TraceSummary } from "../../analysis/summary.ts";
import { TABLE_COLUMNS } from "../../analysis/tables.ts";
import { loadViews } from "../../analysis/views.ts";
import type { Bundle } from "../../traces/bundle.ts";
import type { TraceInfo } from "../model/data.ts";
import type { Panels } from "../model/panels.ts";
import { TraceModel } from "../model/trace_model.ts";
import { type Assets, loadAssets } from "../page/assets.ts";
import { contentPolicy, pageHtml } from "../page/html.ts";
import { preview } from "../read/preview.ts";
import { infoOf, readModel } from "../read/read_model.ts";
import { numberOf, Refusal, requireOwnPage, sqlOf } from "./requests.ts";
import { SqlHost } from "./sql_host.ts";

/** Milliseconds of reading between looks at who is asking. */
const TURN_MS = 20;

/** Recordings with fewer exits are read before anybody looks. */
const PREVIEW_EXITS_MIN = 200_000;

/** What is served, and where. */
export interface ServeOptions {
  hostname: string;
  /** 0: any that is free. */
  port: number;
  /** Folder of the recording, and a file of symbols or null: SQL opens them again. */
  trace: string;
  symbols: string | null;
  /** Most seconds that a question in SQL may take. */
  sqlSecondsMax?: number;
}

/** The server. */
export class TraceServer {
  /** Where it listens. */
  readonly port: number;
  readonly #http: Deno.HttpServer<Deno.NetAddr>;
  readonly #sql: SqlHost;
  #model: TraceModel | null = null;
  #preview: { info: TraceInfo; panels: Panels } | null = null;
  #done = 0;
  #closing: Promise<void> | null = null;

  private constructor(readonly assets: Assets, readonly options: ServeOptions) {
    this.#sql = new SqlHost({ trace: options.trace, symbols: options.symbols }, options.sqlSecondsMax);
    const { hostname, port } = options;
    const silent = { onListen: () => {}, onError: unexpected };
    this.#http = Deno.serve({ hostname, port, ...silent }, (request) => this.#answer(request));
    this.port = this.#http.addr.port;
  }

  /** Makes the page and listens. @throws PageError; Deno's errors when the place cannot be listened on */
  static async start(options: ServeOptions): Promise<TraceServer> {
    return new TraceServer(await loadAssets("served"), options);
  }

  /**
   * Reads the recording; meanwhile the page says how far it is. @throws TraceError
   * @param onProgress told the share that is done
   */
  async read(
    bundle: Bundle,
    source: TraceSource,
    summary: TraceSummary,
    onProgress: (share: number) => void = () => {},
  ): Promise<void> {
    const panels = summary.exits > PREVIEW_EXITS_MIN ? preview(bundle, summary) : null;
    if (panels !== null) this.#preview = { info: infoOf(summary), panels };
    const reading = readModel(bundle, source, summary);
    let turn = performance.now();
    for (let step = reading.next(); this.#closing === null; step = reading.next()) {
      if (step.done) {
        this.#model = new TraceModel(step.value);
        return;
      }
      this.#done = step.value;
      onProgress(step.value);
      if (performance.now() - turn < TURN_MS) continue;
      await new Promise((resolve) => setTimeout(resolve, 0));
      turn = performance.now();
    }
  }

  /** Ends it. */
  close(): Promise<void> {
    this.#sql.close();
    return this.#closing ??= this.#http.shutdown();
  }

  /** Resolves when it has ended. */
  get finished(): Promise<void> {
    return this.#http.finished;
  }

  async #answer(request: Request): Promise<Response> {
    try {
      requireOwnPage(request, this.options.hostname);
      const { pathname, searchParams } = new URL(request.url);
      if (pathname === "/") return this.#page();
      if (pathname === "/api/overview") return json(this.#overview(numberOf(searchParams, "buckets")));
      if (pathname === "/api/panels") return json(this.#panels(searchParams));
      if (pathname === "/api/names") return json(names());
      if (pathname === "/api/sql") return await this.#answerSql(sqlOf(searchParams));
      throw new Refusal(404, "There is no such page here; the recording is at /.");
    } catch (error) {
      if (error instanceof Refusal) return json({ error: error.message }, error.status);
      throw error;
    }
  }

  #page(): Response {
    const policy = `${contentPolicy(this.assets, "served")}; frame-ancestors 'none'`;
    return new Response([...pageHtml(this.assets, "served", [])].join(""), {
      headers: { ...HEADERS, "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy },
    });
  }

  #overview(buckets: number): unknown {
    if (this.#model === null) return { reading: this.#done, preview: this.#preview };
    return { info: this.#model.data.info, panels: this.#model.panels(this.#model.whole, buckets) };
  }

  #panels(query: URLSearchParams): unknown {
    if (this.#model === null) throw new Refusal(503, "The recording is still being read.");
    const range = { startNs: numberOf(query, "start"), endNs: numberOf(query, "end") };
    return this.#model.panels(range, numberOf(query, "buckets"));
  }

  async #answerSql(sql: string): Promise<Response> {
    try {
      return json(await this.#sql.ask(sql));
    } catch (error) {
      return json({ error: error instanceof Error ? error.message : String(error) }, 400);
    }
  }
}

const HEADERS = {
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
};

function json(value: unknown, status = 200): Response {
  const headers: Record<string, string> = { ...HEADERS, "Content-Type": "application/json" };
  if (status === 405) headers.Allow = "GET";
  return new Response(JSON.stringify(value), { status, headers });
}

function unexpected(): Response {
  return json({ error: "The server made a mistake; please report it." }, 500);
}

/** Views, then tables. */
function names(): unknown {
  const views = [...loadViews().values()].map((v) => ({
    signature: v.signature,
    summary: v.summary,
    columns: v.columns.map((c) => c.name),
  }));
  const tables = [...TABLE_COLUMNS].map(([name, columns]) => ({
    signature: name,
    summary: "table",
    columns: columns.map(([c]) => c),
  }));
  return [...views, ...tables];
}
