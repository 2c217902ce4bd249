/**
 * The option that says what is compared.
 *
 * @module
 */
import { type Subject, SUBJECTS } from "../analysis/diff.ts";
import { UsageError } from "./exit_code.ts";
import { suggestion } from "./nearest.ts";

/** A list like "reason,port"; left out: `standard`. @throws UsageError for what cannot be counted */
export function subjectsOption(text: string | undefined, standard: readonly Subject[]): Subject[] {
  if (text === undefined) return [...standard];
  return [...new Set(text.split(","))].map((word) => {
    const subject = SUBJECTS.find((s) => s === word.trim());
    if (subject === undefined) {
      throw new UsageError(`Nothing is counted by "${word}"${suggestion(word, SUBJECTS)}`);
    }
    return subject;
  });
}
