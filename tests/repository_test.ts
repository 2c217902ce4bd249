import { assert, assertEquals, assertMatch } from "@std/assert";
import { listFiles, ROOT } from "./sources.ts";

const TEXT = /(\.(ts|md|json|asm|inc|sql|lock|c|h|S|html|css|toml|yml)|^LICENSE|^\.gitignore|^\.ci\/run)$/;
/** Files that a program writes. */
const GENERATED = new Set(["guests/demo/image.ts"]);

const read = (path: string): string => Deno.readTextFileSync(ROOT + path);
const texts = (): string[] => listFiles().filter((path) => TEXT.test(path));

interface Project {
  tasks: Record<string, { description?: string; command?: string }>;
  imports: Record<string, string>;
}
const project: Project = JSON.parse(read("deno.json"));

Deno.test("every task says what it is for", () => {
  for (const [name, task] of Object.entries(project.tasks)) {
    assert((task.description ?? "").length > 15 && (task.command ?? "") !== "", name);
    assert(!/--allow-all|-A\b/.test(task.command ?? ""), `task ${name} asks for every permission`);
  }
});

Deno.test("every package is pinned to one version", () => {
  for (const [name, target] of Object.entries(project.imports)) {
    if (target.startsWith("npm:")) assertMatch(target, /@\d+\.\d+\.\d+(-[a-z]+\.\d+)?$/, name);
    // Standard packages are linked to folders of this repository (see deno.json).
    else assertMatch(target, /^jsr:@std\/|^\.\//, name);
  }
  const lock = read("deno.lock");
  assert(lock.includes('"integrity"') && !/https?:/.test(lock), "deno.lock holds hashes and no hosts");
});

Deno.test("README's commands are tasks of this project", () => {
  const named = [...read("README.md").matchAll(/\btask ([a-z][a-z:]*)/g)].map((m) => m[1]);
  assert(named.length >= 4);
  for (const name of named) assert(project.tasks[name], `README names a task ${name} that is not there`);
});

Deno.test("links between documents lead to files", () => {
  for (const path of texts().filter((p) => p.endsWith(".md"))) {
    for (const [, target] of read(path).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      const file = new URL(target, `file://${ROOT}${path}`).pathname;
      assert(Deno.statSync(file).isFile || Deno.statSync(file).isDirectory, `${path} links to ${target}`);
    }
  }
});

Deno.test("sources are short and finished", () => {
  // Put together from pieces, or this file would be found.
  const unfinished = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"].join("|")})\\b`);
  const wrong: string[] = [];
  for (const path of texts().filter((p) => p.endsWith(".ts") && !GENERATED.has(p))) {
    const source = read(path);
    const lines = source.split("\n").length - 1;
    if (lines > 600) wrong.push(`${path} has ${lines} lines`);
    if (unfinished.test(source)) wrong.push(`${path} has a mark of unfinished work`);
  }
  assertEquals(wrong, []);
});

Deno.test("nothing tells of the machine it was written on", () => {
  const folders = ["work", "root", "home"].map((name) => `(?<![\\w.~}])/${name}/[a-z.]`);
  const registries = ["registry\\.np" + "mjs", "np" + "m\\.jsr\\.io", "debian\\.or" + "g/debian"];
  const telling = new RegExp([...folders, ...registries].join("|"));
  const wrong = texts().flatMap((path) => {
    const found = read(path).match(telling);
    return found ? [`${path}: ${found[0]}`] : [];
  });
  assertEquals(wrong, []);
});
