/**
 * Prices of exits that a user gives, over those of view `exit_costs`. The file is TOML, a table for each preset:
 *
 *     [my-server]
 *     source = "kvm-unit-tests vmexit, measured on our servers"
 *     default = 1_200              # cycles of every reason without a price of its own
 *     VMEXIT_CPUID = 1_500
 *
 * A preset of a name that is built in replaces it.
 *
 * @module
 */
import { parse } from "@std/toml/parse";
import { Table, tableToIPC, Uint64, Utf8, vectorFromArray } from "apache-arrow";

/** Largest file that is read, bytes. */
export const COSTS_BYTES_MAX = 1 << 20;

/** One price. */
export interface Cost {
  preset: string;
  /** Exit reason; null: all without a price of their own. */
  reason: string | null;
  cycles: number;
  source: string;
}

/** A file that holds no prices: one sentence with its name. */
export class CostsError extends Error {
  /** Always "CostsError". */
  override name = "CostsError";
  /** The command line names an unusable file. */
  readonly exitCode = 2;
}

/** Reads prices. @param file name for messages @throws CostsError */
export function parseCosts(file: string, text: string): Cost[] {
  let toml: Record<string, unknown>;
  try {
    toml = parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new CostsError(`Cannot use ${file}: it is not TOML: ${why}.`);
  }
  const costs: Cost[] = [];
  for (const [preset, entry] of Object.entries(toml)) {
    if (typeof entry !== "object" || entry === null || Array.isArray(entry) || entry instanceof Date) {
      throw new CostsError(
        `Cannot use ${file}: "${preset}" is not a table of prices such as [${preset}].`,
      );
    }
    const { source, ...prices } = entry as Record<string, unknown>;
    if (typeof source !== "string" || source === "") {
      throw new CostsError(
        `Cannot use ${file}: [${preset}] does not say where its prices are from (source).`,
      );
    }
    for (const [reason, cycles] of Object.entries(prices)) {
      if (typeof cycles !== "number" || !Number.isSafeInteger(cycles) || cycles < 0) {
        throw new CostsError(
          `Cannot use ${file}: in [${preset}], "${reason}" must be a number of cycles.`,
        );
      }
      if (reason !== "default" && !/^[A-Z][A-Z0-9_]*$/.test(reason)) {
        throw new CostsError(`Cannot use ${file}: in [${preset}], "${reason}" is no exit reason.`);
      }
      costs.push({ preset, reason: reason === "default" ? null : reason, cycles, source });
    }
    if (!costs.some((c) => c.preset === preset && c.reason === null)) {
      throw new CostsError(`Cannot use ${file}: [${preset}] has no default price.`);
    }
  }
  return costs;
}

/** Prices as an Arrow IPC stream. */
export function encodeCosts(costs: readonly Cost[]): Uint8Array {
  const text = (values: (string | null)[]) => vectorFromArray(values, new Utf8());
  return tableToIPC(
    new Table({
      preset: text(costs.map((c) => c.preset)),
      reason: text(costs.map((c) => c.reason)),
      cycles: vectorFromArray(costs.map((c) => BigInt(c.cycles)), new Uint64()),
      source: text(costs.map((c) => c.source)),
    }),
    "stream",
  );
}
