/**
 * The repository's own source files, for tests about the repository: listing them, and reading their imports.
 *
 * @module
 */

/** The repository's folder, ending in a slash. */
export const ROOT = new URL("..", import.meta.url).pathname;
/** Folders that are not sources. */
const SKIPPED = new Set([".git", ".guests", "node_modules", "coverage", "results"]);

/** Paths of all files below a folder of the repository, relative to the repository, sorted. */
export function listFiles(folder = ""): string[] {
  const paths: string[] = [];
  for (const entry of Deno.readDirSync(ROOT + folder)) {
    const path = `${folder}${entry.name}`;
    if (entry.isDirectory && !SKIPPED.has(entry.name) && !entry.name.endsWith(".trace")) {
      paths.push(...listFiles(`${path}/`));
    } else if (entry.isFile) paths.push(path);
  }
  return paths.sort();
}

/** A token of TypeScript, as far as imports need it: a word or sign, or a string's contents. */
export interface Token {
  kind: "word" | "sign" | "string";
  text: string;
}

/** Signs and words after which a slash begins a regular expression and not a division. */
const BEFORE_REGEX = /^(?:[(,=:[!&|?{};+\-*%<>~^]|return|typeof|case|in|of|delete|void|throw|new)$/;

/** Splits TypeScript into tokens, without comments, regular expressions, and the text of templates. */
export function tokens(source: string): Token[] {
  const found: Token[] = [];
  /** For each template that is open: how many braces are open in its ${}. */
  const templates: number[] = [];
  let i = 0;
  const skipTemplateText = (): void => {
    while (i < source.length && source[i] !== "`") {
      if (source.startsWith("${", i)) {
        templates.push(0);
        i += 2;
        return;
      }
      i += source[i] === "\\" ? 2 : 1;
    }
    i++;
  };
  const skipRegex = (): void => {
    for (let inClass = false; i < source.length; i++) {
      if (source[i] === "\\") i++;
      else if (source[i] === "[") inClass = true;
      else if (source[i] === "]") inClass = false;
      else if (source[i] === "/" && !inClass) break;
    }
    i++;
  };
  while (i < source.length) {
    const c = source[i];
    if (/\s/.test(c)) i++;
    else if (source.startsWith("//", i)) i = (source.indexOf("\n", i) + 1) || source.length;
    else if (source.startsWith("/*", i)) i = (source.indexOf("*/", i + 2) + 2) || source.length;
    else if (c === '"' || c === "'") {
      const start = ++i;
      while (i < source.length && source[i] !== c) i += source[i] === "\\" ? 2 : 1;
      found.push({ kind: "string", text: source.slice(start, i++) });
    } else if (c === "`") {
      i++;
      found.push({ kind: "string", text: "" });
      skipTemplateText();
    } else if (c === "/" && (found.length === 0 || BEFORE_REGEX.test(found[found.length - 1].text))) {
      i++;
      skipRegex();
    } else if (/[\w$]/.test(c)) {
      const word = source.slice(i).match(/^[\w$]+/)![0];
      found.push({ kind: "word", text: word });
      i += word.length;
    } else {
      if (templates.length > 0 && c === "{") templates[templates.length - 1]++;
      if (templates.length > 0 && c === "}" && templates[templates.length - 1]-- === 0) {
        templates.pop();
        i++;
        skipTemplateText();
        continue;
      }
      found.push({ kind: "sign", text: c });
      i++;
    }
  }
  return found;
}

/** Module specifiers that a TypeScript source imports: `from "x"`, `import "x"` and `import("x")`. */
export function importsOf(source: string): string[] {
  const all = tokens(source);
  const specifiers: string[] = [];
  all.forEach((token, i) => {
    if (token.kind !== "string") return;
    const before = all[i - 1], earlier = all[i - 2];
    const isFrom = before?.kind === "word" && (before.text === "from" || before.text === "import");
    const isCall = before?.text === "(" && earlier?.kind === "word" && earlier.text === "import" &&
      all[i - 3]?.text !== ".";
    if (isFrom || isCall) specifiers.push(token.text);
  });
  return specifiers;
}

/** What a specifier in a file refers to: a path in the repository, or the specifier itself (a package). */
export function resolveImport(file: string, specifier: string): string {
  if (!specifier.startsWith(".")) return specifier;
  return new URL(specifier, `file:///${file}`).pathname.slice(1);
}
