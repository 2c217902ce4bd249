/**
 * SQL for the server, in a worker of its own: a long question does not stop the brush, and can be ended.
 *
 * @module
 */
import { Session } from "../../analysis/session.ts";
import { bundleSource } from "../../analysis/source.ts";
import { readSymbolFile } from "../../core/boot/symbol_file.ts";
import { Bundle } from "../../traces/bundle.ts";
import { answerOf, asSelect, explainRefusal, type SqlAnswer } from "../model/sql_answer.ts";

/** First message. */
export interface OpenRequest {
  trace: string;
  /** File with symbols; null: those of the recording. */
  symbols: string | null;
}

/** Every other message. */
export interface SqlRequest {
  id: number;
  sql: string;
}

/** What comes back: number 0 once the session is open, or cannot be opened, then an answer a question. */
export interface SqlReply {
  id: number;
  answer?: SqlAnswer;
  error?: string;
}

let session: Promise<Session> | null = null;

async function open({ trace, symbols }: OpenRequest): Promise<Session> {
  const file = symbols === null
    ? null
    : readSymbolFile(symbols.replace(/^.*\//, ""), Deno.readFileSync(symbols));
  const opened = await Session.open(bundleSource(Bundle.open(trace, { verify: false }), file));
  opened.forbidOutside();
  return opened;
}

async function answer({ id, sql }: SqlRequest): Promise<SqlReply> {
  try {
    const opened = await session;
    if (opened === null) return { id, error: "The recording is not open." };
    return { id, answer: answerOf(opened.queryOne(asSelect(sql))) };
  } catch (error) {
    return { id, error: explainRefusal(sql, error instanceof Error ? error.message : String(error)) };
  }
}

const scope = globalThis as unknown as {
  onmessage: ((e: MessageEvent<OpenRequest | SqlRequest>) => void) | null;
  postMessage(reply: SqlReply): void;
};

scope.onmessage = async ({ data }) => {
  if ("trace" in data) {
    session = open(data);
    // Why it failed is told with the first question.
    await session.catch(() => {});
    scope.postMessage({ id: 0 });
  } else scope.postMessage(await answer(data));
};
