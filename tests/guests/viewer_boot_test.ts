import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { type Page, withBrowser } from "../browser.ts";
import { hasProgram } from "../programs.ts";
import { atPrompt, BOOTS, isFetched, withBoot } from "./linux.ts";
import { retrovisor } from "./recording.ts";

/** What is promised of a boot's page. */
const BYTES_MAX = 25_000_000, INTERACTIVE_MS_MAX = 5000, HEAP_BYTES_MAX = 100_000_000;

const textOf = (page: Page, selector: string) =>
  page.evaluate<string>(`document.querySelector(${JSON.stringify(selector)}).textContent`);

/** Brushes, and waits until everything has followed. */
async function brush(page: Page, from: number, to: number): Promise<void> {
  const before = await page.evaluate<number>("retrovisor.timings.brushes");
  await page.drag("#overview .u-over", from, to);
  await page.until(`retrovisor.timings.brushes > ${before} && retrovisor.settled()`);
}

async function look(page: Page, exits: number, hypercalls: number): Promise<void> {
  const grouped = (n: number) => n.toLocaleString("en-US");
  assertStringIncludes(await textOf(page, "#summary"), `${grouped(exits)} exits (100.0% of all)`);
  assertStringIncludes(await textOf(page, "#summary"), `${grouped(hypercalls)} hypercalls`);
  assertStringIncludes(await textOf(page, "#hotspots"), "native_calibrate_cpu_early");
  assertStringIncludes(await textOf(page, "#console"), "Linux version 6.1.0");

  // The calibration of the TSC is long over; what boots is the kernel.
  await brush(page, 0.3, 0.6);
  assert(!(await textOf(page, "#hotspots")).includes("native_calibrate_cpu_early"));
  assert(!(await textOf(page, "#console")).includes("Linux version 6.1.0"));
  await page.evaluate(`document.querySelectorAll("#stack-choice button")[1].click()`);
  assertStringIncludes(await textOf(page, "#flame"), "ret_from_fork");
  assertStringIncludes(await textOf(page, "#flame"), "kernel_init");

  await page.evaluate(
    `document.querySelector("#sql-text").value = "SELECT (SELECT count(*) FROM exits), (SELECT count(*) FROM hypercalls)";
     document.querySelector("#sql-run").click()`,
  );
  await page.until(`document.querySelector("#sql .answer td")`);
  assertEquals(
    await page.evaluate(
      `[...document.querySelectorAll("#sql .answer td")].map((c) => Number(c.textContent))`,
    ),
    [exits, hypercalls],
  );
}

Deno.test({
  name: "page of a Linux boot is small, quickly there, follows the brush and answers SQL",
  ignore: !isFetched(BOOTS[0]) || !hasProgram("chromium"),
  fn: () =>
    withBoot(BOOTS[0], { cmdline: "nokaslr" }, async (args) => {
      const folder = await Deno.makeTempDir({ prefix: "retrovisor-viewer-" });
      try {
        const trace = `${folder}/boot.trace`, html = `${folder}/boot.html`;
        await Deno.writeTextFile(`${folder}/script`, atPrompt("poweroff -f"));
        const run = await retrovisor(
          "run",
          ...args,
          "sample=100000",
          "--output",
          trace,
          "--script",
          `${folder}/script`,
        );
        assertEquals(run.code, 0, run.err);
        const { exits, hypercalls } = JSON.parse((await retrovisor("info", trace, "--format", "json")).out);
        const report = await retrovisor("report", trace, "--html", html);
        assertEquals(report.code, 0, report.err);
        const { size } = await Deno.stat(html);
        assertLess(size, BYTES_MAX);
        await withBrowser(async (page) => {
          await page.look("light", 1440, 1000);
          await page.go(`file://${html}`);
          await page.until("document.documentElement.dataset.ready");
          const interactive = await page.evaluate<number>("retrovisor.timings.interactive");
          await look(page, exits, hypercalls);
          assertEquals(page.errors, []);
          assertEquals(page.requests, []);
          assertLess(await page.heapBytes(), HEAP_BYTES_MAX);
          console.log(`${(size / 1e6).toFixed(1)} MB, interactive after ${Math.round(interactive)} ms`);
          assertLess(interactive, INTERACTIVE_MS_MAX);
        });
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    }),
});
