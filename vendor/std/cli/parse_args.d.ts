/** Typed face of `@std/cli/parse-args` for machines that cannot reach its registry. */
export interface ParseOptions {
  /** Names that are flags without a value. */
  boolean?: readonly string[];
  /** Names whose value stays a string. */
  string?: readonly string[];
  /** Names that may be given several times. */
  collect?: readonly string[];
  /** Names that take `--no-NAME`. */
  negatable?: readonly string[];
  /** Other spellings of a name. */
  alias?: Readonly<Record<string, string | readonly string[]>>;
  /** Values of names that were not given. */
  default?: Readonly<Record<string, unknown>>;
  /** Stop at the first positional argument. */
  stopEarly?: boolean;
  /** Put what follows `--` into `["--"]`. */
  "--"?: boolean;
  /** Called for every argument no other option names. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}
/** Parsed arguments: positional ones under `_`, each named one under its name. */
// deno-lint-ignore no-explicit-any
export type Args = { _: (string | number)[]; "--"?: string[] } & Record<string, any>;
/** Parses command-line arguments. */
export function parseArgs(args: readonly string[], options?: ParseOptions): Args;
