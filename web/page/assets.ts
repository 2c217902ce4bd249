/**
 * The page's script and styles, made from `web/ui` and the packages it uses whenever they are needed: nothing that was
 * generated is kept.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";

/** Why the page cannot be made, in a sentence. */
export class PageError extends Error {
  /** Always "PageError". */
  override name = "PageError";
}

/** Script and styles of one kind of page. */
export interface Assets {
  script: string;
  style: string;
}

/** Bundles `web/ui/main_KIND.ts`. Needs permission to read; esbuild, which Deno brings, is fetched when first used. */
export async function loadAssets(kind: "carried" | "served"): Promise<Assets> {
  const entry = fileURLToPath(new URL(`../ui/main_${kind}.ts`, import.meta.url));
  let made: Deno.bundle.Result;
  try {
    made = await Deno.bundle({
      entrypoints: [entry],
      platform: "browser",
      format: "iife",
      minify: true,
      write: false,
    });
  } catch (error) {
    throw new PageError(refusal(error instanceof Error ? error.message : String(error)));
  }
  const script = made.outputFiles?.map((f) => new TextDecoder().decode(f.contents)).join("\n") ?? "";
  if (!made.success || script === "") {
    throw new PageError(refusal(made.errors[0]?.text ?? "nothing was made"));
  }
  if (/<\/script|<!--/i.test(script)) {
    throw new PageError("Cannot use the page's script: it would end its own element.");
  }
  const styles = await Promise.all([
    Deno.readTextFile(packageFile("uplot/dist/uPlot.min.css")),
    Deno.readTextFile(new URL("../ui/theme.css", import.meta.url)),
    Deno.readTextFile(new URL("../ui/style.css", import.meta.url)),
  ]);
  return { script, style: styles.join("\n") };
}

/** Path of a file of a package. */
export function packageFile(specifier: string): string {
  return fileURLToPath(import.meta.resolve(specifier));
}

/** A source of a Content-Security-Policy: exactly this text. */
export function cspHash(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

/** The bundler looks packages up in the deno.json of the folder in which the program was started. */
function refusal(why: string): string {
  if (!why.includes("not a dependency")) {
    return `Cannot bundle the page's script: ${why.split("\n")[0].replace(/\.$/, "")}.`;
  }
  return "Cannot bundle the page's script: start the program with `deno task`, or in the folder of its deno.json.";
}
