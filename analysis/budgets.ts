/**
 * What a recording may differ in from its baseline: nothing, unless a budget says so. Budgets are a TOML file:
 *
 *     [total]                      # all exits together
 *     max = 110_000                # never more than this
 *
 *     [reason.VMEXIT_CPUID]
 *     delta = 4                    # 4 more or fewer than the baseline
 *
 *     [hypercall."xen_version version"]
 *     delta = "5%"
 *
 *     [function."*"]               # every function without a budget of its own
 *     delta = 2
 *
 * `max` alone replaces the baseline: any count up to it will do. With both, both must hold.
 *
 * @module
 */
import { parse } from "@std/toml/parse";
import { BaselineError } from "./baseline.ts";
import { type Subject, SUBJECTS } from "./diff.ts";

/** Largest file that is read, bytes. */
export const BUDGETS_BYTES_MAX = 1 << 20;

/** What one count may be. */
export interface Budget {
  /** Largest count. */
  max?: number;
  /** Largest difference from the baseline, either way. */
  delta?: number;
  /** The same in percent of the baseline. */
  deltaPercent?: number;
}

/** All budgets; the subject "total" has the one name "exits", and the name "*" stands for all without their own. */
export type Budgets = ReadonlyMap<Subject | "total", ReadonlyMap<string, Budget>>;

/** Reads budgets. @param file name for messages @throws BaselineError */
export function parseBudgets(file: string, text: string): Budgets {
  let toml: Record<string, unknown>;
  try {
    toml = parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new BaselineError(`Cannot use ${file}: it is not TOML: ${why}.`);
  }
  const budgets = new Map<Subject | "total", Map<string, Budget>>();
  for (const [key, value] of Object.entries(toml)) {
    const subject = [...SUBJECTS, "total" as const].find((s) => s === key);
    if (subject === undefined) {
      throw new BaselineError(
        `Cannot use ${file}: there is no [${key}]; tables are ${SUBJECTS.join(", ")} and total.`,
      );
    }
    const names = new Map<string, Budget>();
    if (subject === "total") names.set("exits", budgetOf(file, "total", value));
    else {
      for (const [name, entry] of Object.entries(tableOf(file, key, value))) {
        names.set(name, budgetOf(file, `${key}."${name}"`, entry));
      }
    }
    budgets.set(subject, names);
  }
  return budgets;
}

function tableOf(file: string, place: string, value: unknown): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)) {
    return value as Record<string, unknown>;
  }
  throw new BaselineError(`Cannot use ${file}: ${place} is not a table with max or delta.`);
}

function budgetOf(file: string, place: string, value: unknown): Budget {
  const budget: Budget = {};
  for (const [key, v] of Object.entries(tableOf(file, place, value))) {
    const percent = key === "delta" && typeof v === "string" ? /^(\d+(?:\.\d+)?)%$/.exec(v) : null;
    if (percent !== null) budget.deltaPercent = Number(percent[1]);
    else if (
      (key === "max" || key === "delta") && typeof v === "number" && Number.isSafeInteger(v) && v >= 0
    ) {
      budget[key] = v;
    } else {
      throw new BaselineError(
        `Cannot use ${file}: in [${place}], "${key}" must be max or delta, a count (delta also "5%").`,
      );
    }
  }
  if (Object.keys(budget).length === 0) {
    throw new BaselineError(`Cannot use ${file}: [${place}] has neither max nor delta.`);
  }
  return budget;
}

/** The budget of a name: its own, or that of "*". */
export function budgetFor(budgets: Budgets, subject: Subject | "total", name: string): Budget | undefined {
  const names = budgets.get(subject);
  return names?.get(name) ?? names?.get("*");
}

/** Why a count breaks its budget, in a few words; null when it holds. Without a budget, any change breaks it. */
export function breach(before: number, now: number, budget: Budget | undefined): string | null {
  if (budget === undefined) return before === now ? null : "changed";
  if (budget.max !== undefined && now > budget.max) return `above max ${budget.max}`;
  const moved = Math.abs(now - before);
  if (budget.delta !== undefined && moved > budget.delta) return `beyond delta ${budget.delta}`;
  // Compared as whole numbers: percent * before may not be exact.
  if (budget.deltaPercent !== undefined && moved * 100 > budget.deltaPercent * before) {
    return `beyond delta ${budget.deltaPercent}%`;
  }
  return null;
}
