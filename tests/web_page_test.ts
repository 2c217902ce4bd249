import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { bundleSource } from "../analysis/source.ts";
import { traceSummary } from "../analysis/summary.ts";
import { Bundle } from "../traces/bundle.ts";
import { DirectoryStore } from "../traces/store.ts";
import { PageError } from "../web/page/assets.ts";
import { carriedPage } from "../web/page/carried_page.ts";
import { type Page, withBrowser } from "./browser.ts";
import { runIn } from "./cli_fixture.ts";
import { HOSTILE, hostileText } from "./hostile_text.ts";
import { hasProgram } from "./programs.ts";
import { ROOT } from "./sources.ts";
import { synthesize } from "./synthetic_trace.ts";

const noBrowser = !hasProgram("chromium");
/** A browser under load needs longer than a reader does; the test of a Linux boot holds the page to its time. */
const INTERACTIVE_MS_MAX = 15_000;

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "retrovisor-web-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The page is made where `deno task` would make it. */
async function report(folder: string, trace: string): Promise<string> {
  const made = await runIn(ROOT, ["report", `${folder}/${trace}`, "--html", `${folder}/page.html`]);
  assertEquals(made.code, 0, made.err);
  return `file://${folder}/page.html`;
}

async function open(page: Page, url: string): Promise<void> {
  await page.go(url);
  await page.until("document.documentElement.dataset.ready");
  assertEquals(await page.evaluate("document.documentElement.dataset.ready"), "true");
}

/** Asks in the SQL box. @returns the cells of the answer */
async function ask(page: Page, sql: string): Promise<string[][]> {
  await page.evaluate(
    `document.querySelector("#sql-text").value = ${
      JSON.stringify(sql)
    }; document.querySelector("#sql-run").click()`,
  );
  await page.until(`!document.querySelector("#sql-run").disabled`);
  assert(
    !await page.evaluate(`document.querySelector("#sql .note[role=status]").classList.contains("error")`),
    await page.evaluate(`document.querySelector("#sql .note[role=status]").textContent`),
  );
  return await page.evaluate(
    `[...document.querySelectorAll("#sql .answer tbody tr")].map((r) => [...r.children].map((c) => c.textContent))`,
  );
}

const summary = (page: Page) => page.evaluate<string>(`document.querySelector("#summary").textContent`);
const brushes = (page: Page) => page.evaluate<number>("retrovisor.timings.brushes");

/** Cells of a panel's table as numbers, in their column. */
const column = (page: Page, panel: string, index: number) =>
  page.evaluate<number[]>(
    `[...document.querySelectorAll("#${panel} tbody tr")].map((r) => Number(r.children[${index}]?.textContent.replaceAll(",", "")))`,
  );

Deno.test({
  name: "page of a recording opens from disk, follows the brush and answers SQL",
  ignore: noBrowser,
  fn: () =>
    withFolder(async (folder) => {
      const run = await runIn(folder, ["run", "--output", "demo.trace"]);
      assertEquals(run.code, 0, run.err);
      const url = await report(folder, "demo.trace");
      await withBrowser(async (page) => {
        await page.look("light", 1400, 900);
        await open(page, url);
        assert(await page.evaluate<number>("retrovisor.timings.interactive") < INTERACTIVE_MS_MAX);
        assertStringIncludes(await summary(page), "1,354 exits (100.0% of all)");
        const exits = (await column(page, "hotspots", 1)).reduce((a, b) => a + b, 0);
        assertEquals(exits, 1354);

        await page.drag("#overview .u-over", 0.5, 0.9);
        await page.until("retrovisor.timings.brushes > 0 && retrovisor.settled()");
        const [, selected] = /: ([\d,]+) exits/.exec(await summary(page))!;
        const some = Number(selected.replaceAll(",", ""));
        assert(some > 0 && some < 1354);
        assertEquals((await column(page, "hotspots", 1)).reduce((a, b) => a + b, 0), some);
        const [from, to] = /^#t=(\d+)-(\d+)$/.exec(await page.evaluate("location.hash"))!.slice(1).map(
          Number,
        );
        assert(
          Math.abs(from / 40.5e6 - 0.5) < 0.02 && Math.abs(to / 40.5e6 - 0.9) < 0.02,
          `${from} to ${to}`,
        );
        assertStringIncludes(
          await page.evaluate(`document.querySelector("#flame .note").textContent`),
          `${selected} exits`,
        );
        const calls = (await column(page, "calls", 2)).reduce((a, b) => a + b, 0);
        assertStringIncludes(await summary(page), ` ${calls} hypercalls`);
        assert(
          !(await page.evaluate<string>(`document.querySelector("#console").textContent`)).includes("sieve"),
        );

        const rows = await ask(page, "SELECT count(*) FROM exits WHERE time_ns BETWEEN $t0 AND $t1");
        assert(Math.abs(Number(rows[0][0]) - some) <= 2, `${rows[0][0]} and ${some}`);
        assertEquals((await ask(page, "FROM exit_summary;"))[0].slice(0, 2), ["VMEXIT_VMMCALL", "462"]);
        assert((await ask(page, "FROM exit_rate(1000000)")).length > 20);

        await page.evaluate(`document.querySelector("#plots").focus()`);
        const before = await brushes(page);
        await page.key("Escape");
        await page.until(`retrovisor.timings.brushes > ${before} && retrovisor.settled()`);
        assertStringIncludes(await summary(page), "1,354 exits (100.0% of all)");
        await page.key("+");
        await page.until(`!document.querySelector("#summary").textContent.includes("100.0%")`);
        assertEquals(page.errors, []);
        assertEquals(page.requests, []);
        assert(await page.heapBytes() < 100e6);
      });
    }),
});

Deno.test({
  name: "page refuses to change what it carries and explains errors in SQL",
  ignore: noBrowser,
  fn: () =>
    withFolder(async (folder) => {
      synthesize(new DirectoryStore(await madeFolder(folder)), { exits: 2000 });
      const url = await report(folder, "some.trace");
      await withBrowser(async (page) => {
        await open(page, url);
        const refused = async (sql: string) => {
          await page.evaluate(
            `document.querySelector("#sql-text").value = ${
              JSON.stringify(sql)
            }; document.querySelector("#sql-run").click()`,
          );
          await page.until(`!document.querySelector("#sql-run").disabled`);
          const text = await page.evaluate<string>(
            `document.querySelector("#sql .note.error[role=status]")?.textContent ?? ""`,
          );
          assert(text !== "", sql);
          return text;
        };
        assertStringIncludes(await refused("DROP VIEW exits"), "Only questions");
        await refused("SELECT 1) ; DROP TABLE main_coded.exits; SELECT (1");
        await refused("SELECT * FROM read_csv('https://example.com/x.csv')");
        assertStringIncludes(await refused("SELECT nothing FROM exits"), "nothing");
        assertStringIncludes(await refused(" ;"), "empty");
        assertEquals(await ask(page, "SELECT count(*) FROM exits -- all of them"), [["2000"]]);
        assertEquals(page.requests, []);
      });
    }),
});

async function madeFolder(folder: string): Promise<string> {
  await Deno.mkdir(`${folder}/some.trace`);
  return `${folder}/some.trace`;
}

Deno.test({
  name: "page shows a guest's markup, script and SQL as the text that it is",
  ignore: noBrowser,
  fn: () =>
    withFolder(async (folder) => {
      synthesize(new DirectoryStore(await madeFolder(folder)), {
        exits: 60_000,
        functions: 64,
        text: hostileText,
        config: { name: HOSTILE[0], cmdline: HOSTILE[1] },
      });
      const url = await report(folder, "some.trace");
      const html = await Deno.readTextFile(`${folder}/page.html`);
      assert(!/pwned|onerror=|DROP TABLE exits/.test(html), "no text of the guest is in the markup");
      await withBrowser(async (page) => {
        await open(page, url);
        const scripts = await page.evaluate<number>("document.scripts.length");
        await page.drag("#overview .u-over", 0.1, 0.9);
        await page.until("retrovisor.timings.brushes > 0");
        assertEquals(await page.evaluate(`document.querySelector("h1").textContent`), HOSTILE[0]);
        const body = await page.evaluate<string>("document.body.innerText");
        for (
          const part of [`<img src=x onerror=`, `</script><script>`, `\\x1b[2J`, `\\u{202e}`]
        ) assertStringIncludes(body, part);
        const names = await ask(page, "SELECT function, count(*) FROM exit_functions GROUP BY 1 ORDER BY 1");
        assert(names.length > 50 && names.length <= 64, `${names.length} functions`);
        assert(names.some((r) => r[0].includes("DROP TABLE exits")));
        assertEquals(await ask(page, "SELECT count(*) FROM exits"), [["60000"]]);
        assertEquals(
          (await ask(page, "SELECT text FROM console ORDER BY icount LIMIT 1"))[0][0],
          `${HOSTILE[0]} console0\\n`,
        );
        assertEquals(
          await page.evaluate(
            `document.querySelectorAll("img, iframe, object, embed, link[rel=stylesheet]").length`,
          ),
          0,
        );
        assertEquals(await page.evaluate("document.querySelectorAll('svg:not(.legend svg)').length"), 0);
        assert(await page.evaluate<number>("document.scripts.length") <= scripts);
        assertEquals(await page.evaluate("typeof globalThis.pwned"), "undefined");
        assertEquals(page.errors, []);
        assertEquals(page.requests, []);
      });
    }),
});

Deno.test("report --html says what is wrong and leaves no half a file", async () => {
  await withFolder(async (folder) => {
    synthesize(new DirectoryStore(await madeFolder(folder)), { exits: 100 });
    const place = `${folder}/no/such/folder/x.html`;
    const missing = await runIn(ROOT, ["report", `${folder}/some.trace`, "--html", place]);
    assertEquals(missing.code, 2);
    assertStringIncludes(missing.err, "folder does not exist");
    const elsewhere = await runIn(folder, ["report", "some.trace", "--html", "x.html"]);
    assertEquals(elsewhere.code, 2);
    assertStringIncludes(elsewhere.err, "deno task");
    const both = await runIn(folder, ["report", "some.trace", "--html", "x.html", "--sql"]);
    assertEquals(both.code, 2);
    assertEquals([...Deno.readDirSync(folder)].map((e) => e.name), ["some.trace"]);
  });
});

Deno.test("a recording that is too large for one file is refused with what to do instead", async () => {
  await withFolder(async (folder) => {
    synthesize(new DirectoryStore(folder), { exits: 100 });
    const bundle = Bundle.open(folder), source = bundleSource(bundle);
    const summary = { ...traceSummary(bundle), exits: 4_000_000 };
    try {
      await carriedPage(bundle, source, summary, () => {});
      throw new Error("it was taken");
    } catch (error) {
      assert(error instanceof PageError, String(error));
      assertStringIncludes(error.message, "serve TRACE");
    } finally {
      bundle.close();
    }
  });
});
