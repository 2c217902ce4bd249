import { assert, assertEquals } from "@std/assert";
import { importsOf, listFiles, resolveImport, ROOT, tokens } from "./sources.ts";

/**
 * Which folders (or files) each part may import, the longest matching prefix of a file's path first.
 * Everything may import itself. `core` may import no package but the one named; other parts may import any.
 */
const ALLOWED: [prefix: string, allowed: string[]][] = [
  ["core/cpu/", ["core/mmu/", "core/wasm/", "core/layout.ts", "core/exits.ts", "core/config.ts"]],
  ["core/mmu/", ["core/cpu/", "core/wasm/", "core/layout.ts", "core/exits.ts"]],
  ["core/wasm/", []],
  ["core/", ["node:zlib"]],
  ["traces/", ["core/", "deno.json"]],
  ["replay/", ["core/", "traces/"]],
  ["analysis/", ["core/", "traces/"]],
  // What runs in browsers too: no folder that needs Deno.
  ["web/model/", ["analysis/format.ts", "analysis/rows.ts"]],
  ["web/ui/", ["web/model/", "analysis/engine_message.ts", "analysis/rows.ts", "analysis/text.ts"]],
  ["web/", ["core/", "traces/", "analysis/"]],
  ["cli/", ["core/", "traces/", "replay/", "analysis/", "web/", "guests/demo/", "deno.json"]],
  ["mod.ts", ["core/", "traces/", "replay/", "analysis/"]],
  ["guests/", []],
];

/** What makes a machine depend on its host: not in core, where everything is a function of icount and inputs. */
const HOST_WORDS = ["Deno", "process", "performance", "setTimeout", "setInterval", "queueMicrotask", "fetch"];
const HOST_CALLS = [["Date", ".", "now"], ["Date", "(", ")"], ["Math", ".", "random"], ["crypto", "."]];

/** The rule for a file: the longest prefix that matches. */
function ruleFor(file: string): [string, string[]] | undefined {
  return ALLOWED.filter(([p]) => file.startsWith(p)).sort((a, b) => b[0].length - a[0].length)[0];
}

/** Imports of a file that its rule does not allow. */
function violations(file: string, source: string): string[] {
  const rule = ruleFor(file);
  if (!rule) return [];
  const [prefix, allowed] = rule;
  const isPackage = (s: string): boolean => !s.startsWith(".");
  const specifiers = importsOf(source).filter((s) => prefix.startsWith("core/") || !isPackage(s));
  return specifiers.map((s) => resolveImport(file, s)).filter((target) =>
    !target.startsWith(prefix) &&
    !allowed.some((a) => target === a || target.startsWith(a.endsWith("/") ? a : `${a}/`))
  );
}

Deno.test("import scan finds every form of import and nothing else", () => {
  const source = [
    `import a, { type B } from "./a.ts";`,
    `import * as c`,
    `  from './c.ts'; export * from "./d.ts"; import "./e.ts";`,
    `// import x from "./comment.ts";`,
    `/* import("./block.ts") */ const f = await import("./f.ts");`,
    `type G = import("./g.ts").G; const t = \`import x from "./text.ts" \${await import("./h.ts")} from "./i.ts"\`;`,
    `m.import("env"); const r = /["'\`]from "x"/; const s = 'from'; const q = 1 / 2 / 3; export { r as from };`,
  ].join("\n");
  assertEquals(importsOf(source), ["./a.ts", "./c.ts", "./d.ts", "./e.ts", "./f.ts", "./g.ts", "./h.ts"]);
  assertEquals(resolveImport("core/cpu/x.ts", "../layout.ts"), "core/layout.ts");
});

Deno.test("layering rules refuse what they are there to refuse", () => {
  const bad = (file: string, target: string) => violations(file, `import x from "${target}";`).length === 1;
  assert(bad("core/cpu/a.ts", "../xen/xen.ts") && bad("core/mmu/a.ts", "../devices/pic.ts"));
  assert(
    bad("core/a.ts", "apache-arrow") && bad("core/cpu/a.ts", "node:zlib") &&
      !bad("traces/a.ts", "apache-arrow"),
  );
  assert(bad("core/a.ts", "../traces/b.ts") && bad("core/xen/a.ts", "../../replay/b.ts"));
  assert(bad("traces/a.ts", "../replay/b.ts") && bad("analysis/a.ts", "../cli/b.ts"));
  assert(
    !bad("core/cpu/a.ts", "../mmu/b.ts") && !bad("core/cpu/sub/a.ts", "../b.ts") &&
      !bad("replay/a.ts", "../core/b.ts"),
  );
});

Deno.test("every import points the way the layers allow", () => {
  const files = listFiles().filter((f) => f.endsWith(".ts") && ruleFor(f));
  assert(files.length > 50, `only ${files.length} files were found`);
  const wrong = files.flatMap((f) =>
    violations(f, Deno.readTextFileSync(ROOT + f)).map((target) => `${f} imports ${target}`)
  );
  assertEquals(wrong, []);
});

Deno.test("core reads no clock, random source or environment of the host", () => {
  const wrong: string[] = [];
  for (const file of listFiles("core/").filter((f) => f.endsWith(".ts"))) {
    const all = tokens(Deno.readTextFileSync(ROOT + file));
    all.forEach((token, i) => {
      if (token.kind !== "word" || all[i - 1]?.text === ".") return;
      // A name before a colon is a property or a parameter of ours.
      if (HOST_WORDS.includes(token.text) && all[i + 1]?.text === ".") {
        wrong.push(`${file} uses ${token.text}`);
      }
      if (/^set(Timeout|Interval)$|^queueMicrotask$|^fetch$/.test(token.text) && all[i + 1]?.text === "(") {
        wrong.push(`${file} calls ${token.text}`);
      }
      const called = HOST_CALLS.find((call) => call.every((text, k) => all[i + k]?.text === text));
      if (called) wrong.push(`${file} uses ${called.join("")}`);
    });
  }
  assertEquals(wrong, []);
});
