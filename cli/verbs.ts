/**
 * The verbs, in the order in which help lists them. Each is loaded when it is used.
 *
 * @module
 */
import type { Verb } from "./verb.ts";

/** Name, line of help, and loader of each verb. */
export const VERBS: readonly { name: string; summary: string; load: () => Promise<Verb> }[] = [
  {
    name: "run",
    summary: "Run a guest and record it.",
    load: async () => (await import("./run.ts")).runVerb,
  },
  {
    name: "replay",
    summary: "Run a recording again and compare every exit and state hash.",
    load: async () => (await import("./replay.ts")).replayVerb,
  },
  {
    name: "debug",
    summary: "Serve a recording to gdb, forwards and backwards.",
    load: async () => (await import("./debug.ts")).debugVerb,
  },
  {
    name: "query",
    summary: "Ask a recording in SQL.",
    load: async () => (await import("./query.ts")).queryVerb,
  },
  {
    name: "report",
    summary: "Summarize a recording, on the terminal or as a page.",
    load: async () => (await import("./report.ts")).reportVerb,
  },
  {
    name: "serve",
    summary: "Serve a recording to a browser, whatever its size.",
    load: async () => (await import("./serve.ts")).serveVerb,
  },
  {
    name: "diff",
    summary: "Compare two recordings by what they count, or as executions.",
    load: async () => (await import("./diff.ts")).diffVerb,
  },
  {
    name: "check",
    summary: "Hold a recording's counts against a baseline, exactly.",
    load: async () => (await import("./check.ts")).checkVerb,
  },
  {
    name: "export",
    summary: "Write a recording in another tool's format.",
    load: async () => (await import("./export.ts")).exportVerb,
  },
  {
    name: "load",
    summary: "Ask many recordings as one: load exported runs into a database.",
    load: async () => (await import("./load.ts")).loadVerb,
  },
  {
    name: "info",
    summary: "Say what a recording is.",
    load: async () => (await import("./info.ts")).infoVerb,
  },
  {
    name: "verify",
    summary: "Check every byte of a recording.",
    load: async () => (await import("./verify.ts")).verifyVerb,
  },
];

/** The program's help. */
export function programHelp(version: string): string {
  const width = Math.max(...VERBS.map((v) => v.name.length)) + 2;
  return [
    `retrovisor ${version}: a flight recorder for kernels.`,
    "",
    "Usage: retrovisor VERB [ARGUMENTS]",
    "",
    "Verbs:",
    ...VERBS.map((v) => `  ${v.name.padEnd(width)}${v.summary}`),
    "",
    "`retrovisor VERB --help` explains a verb. Start with `retrovisor run`: it boots the built-in demo guest.",
    "",
  ].join("\n");
}
