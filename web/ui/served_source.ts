/// <reference lib="dom" />
/**
 * The recording that a server has open.
 *
 * @module
 */
import type { Panels, TimeRange } from "../model/panels.ts";
import type { Nameable, OpenProgress, Overview, Source, SqlAnswer } from "./source.ts";

/** How long to wait before asking again whether the recording has been read. */
const POLL_MS = 200;

/** The answer while the recording is being read. */
interface Reading {
  /** Share that is done. */
  reading: number;
  preview: Overview | null;
}

/** Asks the server the page came from. */
export class ServedSource implements Source {
  async open(buckets: number, progress: OpenProgress): Promise<Overview> {
    for (let previewed = false;;) {
      const answer = await ask<Overview | Reading>("api/overview", { buckets });
      if (!("reading" in answer)) return answer;
      if (answer.preview !== null && !previewed) progress.preview(answer.preview);
      previewed ||= answer.preview !== null;
      progress.step("Reading the recording:", answer.reading);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  panels(range: TimeRange, buckets: number): Promise<Panels> {
    return ask("api/panels", { start: range.startNs, end: range.endNs, buckets });
  }

  sql(text: string): Promise<SqlAnswer> {
    return ask("api/sql", { q: text });
  }

  nameables(): Promise<Nameable[]> {
    return ask("api/names", {});
  }
}

/** One question. @throws Error with the server's own sentence, or that it is gone */
async function ask<T>(path: string, query: Record<string, string | number>): Promise<T> {
  const parameters = new URLSearchParams(Object.entries(query).map(([k, v]) => [k, String(v)]));
  let response: Response;
  try {
    response = await fetch(`${path}?${parameters}`);
  } catch {
    throw new Error("The server does not answer; is `retrovisor serve` still running?");
  }
  const answer = await response.json() as { error?: string };
  if (!response.ok) throw new Error(answer.error ?? `The server answered ${response.status}.`);
  return answer as T;
}
