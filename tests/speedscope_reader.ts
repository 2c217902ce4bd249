/**
 * speedscope's own readers of profiles, out of the application that its package holds: the bundle is run up to the point
 * where it would draw, with a document that takes everything and gives nothing.
 *
 * @module
 */
import about from "speedscope/package.json" with { type: "json" };

/** One profile as speedscope sees it. */
export interface SpeedscopeProfile {
  getName(): string;
  getTotalWeight(): number;
  forEachFrame(take: (frame: SpeedscopeFrame) => void): void;
}

/** A function of a profile. */
export interface SpeedscopeFrame {
  name: string;
  getSelfWeight(): number;
  getTotalWeight(): number;
}

/** Its readers. */
export interface SpeedscopeReaders {
  importProfileGroupFromText(file: string, text: string): Promise<{ profiles: SpeedscopeProfile[] } | null>;
  importProfilesFromArrayBuffer(
    file: string,
    bytes: ArrayBuffer,
  ): Promise<{ profiles: SpeedscopeProfile[] } | null>;
}

/** Starts the readers. Errors when the bundle is not the one that is known. */
export async function speedscopeReaders(): Promise<SpeedscopeReaders> {
  const path = import.meta.resolve("speedscope/dist/release/speedscope-Y2522XSH.js");
  const bundle = await Deno.readTextFile(new URL(path));
  const module = /return\(await (\w+)\)\.importProfileGroupFromText/.exec(bundle)?.[1];
  const end = bundle.indexOf("console.log(`speedscope v");
  if (module === undefined || end < 0) throw new Error(`speedscope ${about.version} is not as expected`);
  let readers: Promise<SpeedscopeReaders> | null = null;
  const names = ["window", "document", "navigator", "localStorage", "console", "take"];
  const start = new Function(...names, `${bundle.slice(0, end)};take(${module})})()`);
  const quiet = { log() {}, time() {}, timeEnd() {} };
  start(...names.slice(0, 4).map(anything), quiet, (found: Promise<SpeedscopeReaders>) => readers = found);
  if (readers === null) throw new Error("speedscope's bundle did not give its readers");
  return await readers;
}

/** Something that has every property except the 64-bit integers of other libraries, for which there is a fallback. */
function anything(): unknown {
  const it: unknown = new Proxy(() => {}, {
    get: (_, key) =>
      key === "Long" || key === "dcodeIO" ? undefined : key === Symbol.toPrimitive ? () => "" : it,
    apply: () => it,
    construct: () => it as object,
    set: () => true,
    has: () => true,
  });
  return it;
}

/** Self weights by frame name, all profiles together. */
export function selfWeights(group: { profiles: SpeedscopeProfile[] } | null): Map<string, number> {
  const weights = new Map<string, number>();
  for (const profile of group?.profiles ?? []) {
    profile.forEachFrame((f) => weights.set(f.name, (weights.get(f.name) ?? 0) + f.getSelfWeight()));
  }
  return weights;
}
