/**
 * Asks the SQL worker, one question at a time, and ends those that take too long.
 *
 * @module
 */
import type { SqlAnswer } from "../model/sql_answer.ts";
import type { OpenRequest, SqlReply } from "./sql_worker.ts";

/** Most questions that wait, and longest time that one may take. */
const WAITING_MAX = 8, SECONDS_MAX = 120;
/** Longest time in which DuckDB starts. */
const START_SECONDS_MAX = 60;

interface Question {
  sql: string;
  resolve(answer: SqlAnswer): void;
  reject(error: Error): void;
}

/** The worker's keeper. */
export class SqlHost {
  #worker: Worker | null = null;
  #next = 1;
  #ready = false;
  #running: Question | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #queue: Question[] = [];

  /** @param secondsMax most that one question may take */
  constructor(readonly open: OpenRequest, readonly secondsMax: number = SECONDS_MAX) {}

  /** Answers a question. @throws Error in a sentence for people */
  ask(sql: string): Promise<SqlAnswer> {
    if (this.#queue.length >= WAITING_MAX) {
      return Promise.reject(new Error("Too many questions are waiting for their answers; ask again later."));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ sql, resolve, reject });
      this.#go();
    });
  }

  /** Ends the worker; what waits is told so. */
  close(): void {
    const waiting = this.#queue.splice(0);
    this.#end("The server is ending.");
    for (const q of waiting) q.reject(new Error("The server is ending."));
  }

  #go(): void {
    if (this.#running !== null) return;
    const next = this.#queue.shift();
    if (next === undefined) return;
    this.#running = next;
    const worker = this.#worker ??= this.#start(), id = this.#next++;
    worker.onmessage = ({ data }: MessageEvent<SqlReply>) => {
      if (data.id === 0) {
        this.#ready = true;
        this.#allow(this.secondsMax);
      } else if (data.id === id) this.#finish(data);
    };
    worker.onerror = (e) => {
      e.preventDefault();
      this.#end(`The question ended DuckDB (${e.message}); it starts again with the next one.`);
    };
    this.#allow(this.#ready ? this.secondsMax : START_SECONDS_MAX);
    worker.postMessage({ id, sql: next.sql });
  }

  /** So long from now on. */
  #allow(seconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#end(`The question took longer than ${seconds} s and was ended; ask for less.`);
    }, seconds * 1000);
  }

  #start(): Worker {
    const worker = new Worker(new URL("./sql_worker.ts", import.meta.url), { type: "module", name: "sql" });
    worker.postMessage(this.open);
    return worker;
  }

  #finish({ answer, error }: SqlReply): void {
    const done = this.#running;
    clearTimeout(this.#timer);
    this.#running = null;
    if (answer !== undefined) done?.resolve(answer);
    else done?.reject(new Error(error ?? "There is no answer."));
    this.#go();
  }

  /** Ends the worker with the question that it is at, and goes on with the next. */
  #end(why: string): void {
    const ended = this.#running;
    clearTimeout(this.#timer);
    this.#worker?.terminate();
    this.#worker = this.#running = null;
    this.#ready = false;
    ended?.reject(new Error(why));
    this.#go();
  }
}
