/** Typed face of `@std/toml/parse` for machines that cannot reach its registry. */
/** Parses a TOML document. @throws SyntaxError naming the place */
export function parse(text: string): Record<string, unknown>;
