import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { bundleSource } from "../analysis/source.ts";
import { traceSummary } from "../analysis/summary.ts";
import { Bundle } from "../traces/bundle.ts";
import { DirectoryStore } from "../traces/store.ts";
import { TraceServer } from "../web/serve/server.ts";
import { withBrowser } from "./browser.ts";
import { HOSTILE, hostileText } from "./hostile_text.ts";
import { hasProgram } from "./programs.ts";
import { synthesize, type SyntheticOptions } from "./synthetic_trace.ts";

interface Served {
  /** Where, with a slash at the end. */
  url: string;
  server: TraceServer;
  folder: string;
}

/** Serves a recording that was made for it. The bundler needs the working folder of `deno task`, which tests have. */
async function withServer(
  exits: number,
  use: (s: Served) => Promise<void>,
  options: { sqlSecondsMax?: number; recording?: SyntheticOptions } = {},
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "retrovisor-serve-" });
  try {
    synthesize(new DirectoryStore(folder), { exits, functions: 300, ...options.recording });
    const bundle = Bundle.open(folder, { verify: false });
    const server = await TraceServer.start({
      hostname: "127.0.0.1",
      port: 0,
      trace: folder,
      symbols: null,
      sqlSecondsMax: options.sqlSecondsMax ?? 60,
    });
    try {
      await server.read(bundle, bundleSource(bundle), traceSummary(bundle));
      await use({ url: `http://127.0.0.1:${server.port}/`, server, folder });
    } finally {
      await server.close();
      bundle.close();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Sends bytes as they are, for what no client library would send. @returns the whole response */
async function raw(port: number, request: string): Promise<string> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  try {
    await connection.write(new TextEncoder().encode(request));
    const parts: Uint8Array[] = [];
    const decoder = new TextDecoder();
    let text = "";
    for await (const part of connection.readable) {
      parts.push(part);
      text += decoder.decode(part, { stream: true });
      if (/\r\n\r\n[\s\S]*\}$/.test(text)) break;
    }
    return text;
  } catch (error) {
    return String(error);
  } finally {
    try {
      connection.close();
    } catch {
      // Reading to its end closed it.
    }
  }
}

const sql = (url: string, text: string) => fetch(`${url}api/sql?q=${encodeURIComponent(text)}`);

Deno.test("server answers only its own page's requests, each refusal with a sentence", async () => {
  await withServer(2000, async ({ url, server }) => {
    const ask = (path: string, init?: RequestInit) => fetch(url + path, init);
    const refused = async (response: Response, status: number, part: string) => {
      assertEquals(response.status, status);
      const { error } = await response.json();
      assertStringIncludes(error, part);
      assert(!/\n|at .*\.ts/.test(error), "no stack");
    };
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
      await refused(await ask("", { method }), 405, "GET");
    }
    await refused(await ask("etc/passwd"), 404, "at /");
    await refused(await ask("api/"), 404, "at /");
    await refused(await ask("api/overview"), 400, "buckets");
    await refused(await ask("api/panels?start=a&end=2&buckets=3"), 400, "start");
    await refused(await ask("api/panels?start=0&end=1e999&buckets=3"), 400, "end");
    await refused(await ask("api/sql"), 400, "q");
    await refused(await sql(url, "SELECT 1 -- " + "x".repeat(17_000)), 413, "16000");
    await refused(await ask("api/names", { headers: { origin: "https://evil.example" } }), 403, "sites");
    await refused(await ask("api/names", { headers: { "sec-fetch-site": "cross-site" } }), 403, "sites");
    const linked = await ask("", {
      headers: { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" },
    });
    assertEquals([linked.status, (await linked.text()).slice(0, 15)], [200, "<!doctype html>"]);

    const { port } = server;
    const withHost = (host: string) =>
      raw(port, `GET /api/names HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    for (
      const host of [
        "evil.example",
        "evil.example:80",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "a b",
        "",
      ]
    ) {
      assert(/^HTTP\/1.1 4(21|00)/.test(await withHost(host)), host);
    }
    for (const host of ["localhost", `127.0.0.1:${port}`, "[::1]:9999", "LOCALHOST:1"]) {
      assert((await withHost(host)).startsWith("HTTP/1.1 200"), host);
    }
    for (
      const path of [
        "/../../../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/deno.json",
        "//etc/passwd",
        "/web/ui/app.ts",
      ]
    ) {
      const answer = await raw(port, `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
      assert(answer.startsWith("HTTP/1.1 404"), `${path}: ${answer.slice(0, 80)}`);
    }
    assert(!(await raw(port, "GARBAGE\r\n\r\n")).startsWith("HTTP/1.1 200"));
    const page = await ask("");
    assertStringIncludes(page.headers.get("content-security-policy") ?? "", "default-src 'none'");
    assertStringIncludes(page.headers.get("content-security-policy") ?? "", "frame-ancestors 'none'");
    assertEquals(page.headers.get("x-content-type-options"), "nosniff");
    await page.body?.cancel();
  });
});

Deno.test("server's SQL reads the recording, changes nothing and reaches nothing else", async () => {
  await withServer(3000, async ({ url, folder }) => {
    const rows = async (text: string) => {
      const response = await sql(url, text), body = await response.json();
      assertEquals(response.status, 200, body.error);
      return body;
    };
    assertEquals((await rows("SELECT count(*) FROM exits")).rows, [["3000"]]);
    const secret = `${folder}/secret.csv`;
    await Deno.writeTextFile(secret, "a\n1\n");
    const hostile = [
      "DROP VIEW exits",
      "SELECT 1); DROP TABLE main_coded.exits; SELECT (1",
      "SELECT 1; SELECT 2",
      `SELECT * FROM read_csv('${secret}')`,
      `SELECT * FROM read_text('${secret}')`,
      `SELECT * FROM '${secret}'`,
      `SELECT * FROM glob('${folder}/*')`,
      `COPY (SELECT 1) TO '${folder}/out.csv'`,
      `ATTACH '${folder}/other.db'`,
      "SET enable_external_access = true",
      "INSTALL httpfs",
      "LOAD httpfs",
      "CREATE TABLE t (a INT)",
      "CREATE OR REPLACE MACRO exit_rate(b) AS TABLE SELECT 1",
      "WITH a AS (SELECT 1) DELETE FROM main_coded.exits",
      "PREPARE p AS SELECT 1",
      "SELECT * FROM query('DROP VIEW exits')",
      "",
      ";",
      "SELECT '\u0000",
    ];
    for (const text of hostile) {
      const response = await sql(url, text), { error } = await response.json();
      assertEquals([response.status, typeof error], [400, "string"], text);
    }
    assertEquals((await rows("SELECT count(*) FROM exits")).rows, [["3000"]]);
    assertEquals((await rows("SELECT count(*) FROM exit_rate(1000000)")).rows.length, 1);
    assertEquals([...Deno.readDirSync(folder)].filter((e) => /out|other/.test(e.name)).length, 0);

    const many = await rows("SELECT a.seq, b.seq FROM exits a, exits b");
    assertEquals([many.rows.length, many.cut], [2000, true]);
    const wide = await rows("SELECT repeat('x', 9000) FROM range(3000)");
    assert(wide.cut || wide.rows.length === 2000);
    assert(JSON.stringify(wide).length < 10_000_000);
    assertEquals((await rows("SELECT DISTINCT domid FROM exits ORDER BY 1")).columns, [{
      name: "domid",
      numeric: true,
    }]);
  });
});

Deno.test("server ends SQL that takes too long and answers brushes meanwhile", async () => {
  await withServer(2000, async ({ url }) => {
    assertEquals((await (await sql(url, "SELECT 1 AS one")).json()).rows, [["1"]]);
    const endless = sql(url, "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b");
    const waiting = sql(url, "SELECT 2 AS two");
    const panels = await (await fetch(`${url}api/panels?start=0&end=1e9&buckets=50`)).json();
    assert(panels.exits > 0);
    const ended = await endless;
    assertEquals(ended.status, 400);
    assertStringIncludes((await ended.json()).error, "longer than 4 s");
    assertEquals((await (await waiting).json()).rows, [["2"]]);
  }, { sqlSecondsMax: 4 });
});

Deno.test({
  name: "served page follows the brush and answers SQL",
  ignore: !hasProgram("chromium"),
  fn: () =>
    withServer(100_000, ({ url }) =>
      withBrowser(async (page) => {
        await page.look("dark", 1200, 900);
        await page.go(url);
        await page.until("document.documentElement.dataset.ready");
        const summary = () => page.evaluate<string>(`document.querySelector("#summary").textContent`);
        assertStringIncludes(await summary(), "100,000 exits (100.0% of all)");
        await page.drag("#overview .u-over", 0.25, 0.5);
        await page.until("retrovisor.timings.brushes > 0 && retrovisor.settled()");
        const selected = Number(/: ([\d,]+) exits/.exec(await summary())![1].replaceAll(",", ""));
        assert(selected > 20_000 && selected < 30_000, await summary());
        await page.evaluate(
          `document.querySelector("#sql-text").value = "SELECT count(*) FROM exits WHERE time_ns BETWEEN $t0 AND $t1";
           document.querySelector("#sql-run").click()`,
        );
        await page.until(`document.querySelector("#sql .answer td")`);
        const counted = Number(await page.evaluate(`document.querySelector("#sql .answer td").textContent`));
        assert(Math.abs(counted - selected) <= 2, `${counted} and ${selected}`);
        assertEquals(page.errors, []);
        assertEquals(page.requests.filter((r) => !r.startsWith(url)), []);
      })),
});

Deno.test({
  name: "served page shows a guest's markup, script and SQL as the text that it is",
  ignore: !hasProgram("chromium"),
  fn: () =>
    withServer(20_000, ({ url }) =>
      withBrowser(async (page) => {
        await page.go(url);
        await page.until("document.documentElement.dataset.ready");
        assertEquals(await page.evaluate(`document.querySelector("h1").textContent`), HOSTILE[0]);
        await page.evaluate(
          `document.querySelector("#sql-text").value = "SELECT DISTINCT name FROM symbols UNION ALL SELECT text FROM console";
           document.querySelector("#sql-run").click()`,
        );
        await page.until(`document.querySelector("#sql .answer td")`);
        const body = await page.evaluate<string>("document.body.innerText");
        for (const part of ["<img src=x onerror=", "</script><script>", "DROP TABLE exits"]) {
          assertStringIncludes(body, part);
        }
        assertEquals(
          await page.evaluate(`document.querySelectorAll("img, iframe, object, embed").length`),
          0,
        );
        assertEquals(await page.evaluate("typeof globalThis.pwned"), "undefined");
        assertEquals(page.errors, []);
        assertEquals(page.requests.filter((r) => !r.startsWith(url)), []);
      }), {
      recording: { text: hostileText, functions: 64, config: { name: HOSTILE[0], cmdline: HOSTILE[1] } },
    }),
});

Deno.test({
  name: "page goes by keyboard through its stacks, and to the range in its address",
  ignore: !hasProgram("chromium"),
  fn: () =>
    withServer(20_000, ({ url }) =>
      withBrowser(async (page) => {
        await page.go(`${url}#t=1000000-900000000`);
        await page.until("document.documentElement.dataset.ready && retrovisor.timings.brushes > 0");
        const inputs = `[...document.querySelectorAll("#bar input")].map((i) => i.value)`;
        assertEquals(await page.evaluate(inputs), ["1.000 ms", "900.000 ms"]);
        const stops = await page.evaluate<number>(
          `document.querySelectorAll("#flame .frame[tabindex='0']").length`,
        );
        assertEquals(stops, 1);
        await page.evaluate(`document.querySelector("#flame .frame").focus()`);
        const focused = () => page.evaluate<string>(`document.activeElement.getAttribute("aria-label")`);
        const first = await focused();
        await page.key("ArrowRight");
        const second = await focused();
        assert(first !== second && second.includes("depth 1"), `${first}, ${second}`);
        await page.key("ArrowLeft");
        assertEquals(await focused(), first);
        await page.evaluate("document.activeElement.click()");
        assertStringIncludes(
          await page.evaluate(`document.querySelector("#flame .note").textContent`),
          "zoomed to",
        );
        await page.key("Escape");
        assert(
          !(await page.evaluate<string>(`document.querySelector("#flame .note").textContent`)).includes(
            "zoomed",
          ),
        );
        await page.evaluate(
          `(() => { const i = document.querySelector("#bar input"); i.value = "0.25 s"; i.dispatchEvent(new Event("change")); })()`,
        );
        await page.until(`location.hash === "#t=250000000-900000000"`);
        await page.evaluate(
          `(() => { const i = document.querySelector("#bar input"); i.value = "soon"; i.dispatchEvent(new Event("change")); })()`,
        );
        assertEquals(
          await page.evaluate(`document.querySelector("#bar input").getAttribute("aria-invalid")`),
          "true",
        );
        assertEquals(page.errors, []);
      })),
});
