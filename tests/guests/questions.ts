/**
 * Holds the answers of docs/questions.md against recordings made as that page says:
 * `deno task questions boot.trace boot2.trace`.
 *
 * @module
 */
import { retrovisor } from "./recording.ts";

/** A command of the page and the answer that it shows. */
interface Question {
  title: string;
  verb: string;
  args: string[];
  answer: string;
}

/** Commands over `boot.trace` that are followed by what they print. */
function questions(text: string): Question[] {
  const found: Question[] = [];
  for (const section of text.split(/^## /m).slice(1)) {
    const m = /^ {4}deno task (query|diff) (boot\.trace[^\n]*)\n\n((?: {4}.*\n|\n(?= {4}))+)/m.exec(section);
    if (m === null) continue;
    const args = [...m[2].matchAll(/"([^"]*)"|(\S+)/g)].map((a) => a[1] ?? a[2]);
    found.push({
      title: section.split("\n")[0],
      verb: m[1],
      args,
      answer: m[3].replace(/^ {4}/gm, "").trimEnd(),
    });
  }
  return found;
}

async function main(traces: string[]): Promise<number> {
  if (traces.length !== 2) {
    console.error("Usage: deno task questions BOOT.trace BOOT2.trace (made as docs/questions.md says)");
    return 2;
  }
  const text = await Deno.readTextFile(new URL("../../docs/questions.md", import.meta.url));
  let wrong = 0;
  for (const { title, verb, args, answer } of questions(text)) {
    const named = args.map((a) => a === "boot.trace" ? traces[0] : a === "boot2.trace" ? traces[1] : a);
    const { out, err } = await retrovisor(verb, ...named);
    const right = out.trimEnd() === answer;
    console.log(`${right ? "right" : "WRONG"}  ${title}`);
    if (!right) console.log(`--- the page\n${answer}\n--- now\n${out}${err}`);
    if (!right) wrong++;
  }
  return wrong === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
