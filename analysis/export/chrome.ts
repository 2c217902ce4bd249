/**
 * Chrome's trace event format in JSON, for chrome://tracing and ui.perfetto.dev: a thread for each vCPU with its exits as
 * instants and its halts as slices, counters of exits a millisecond, console text.
 *
 * Exits have no duration: on the virtual clock, what the hypervisor does takes no time.
 *
 * @module
 */
import { hex, jsonString } from "../text.ts";
import { consoleLines } from "./console.ts";
import { type ExportInput, vcpuName } from "./exporter.ts";
import { functionNames, nameOf } from "./stacks.ts";

/** Thread that shows the console; vCPU n is thread n + 1. */
const CONSOLE_THREAD = 10_000;
/** Width of a counter's step, ns. */
const COUNTER_NS = 1_000_000;

/** The whole recording as one JSON document. */
export function* chrome(input: ExportInput): Generator<string> {
  yield `{"displayTimeUnit": "ns", "otherData": {"exporter": "retrovisor"}, "traceEvents": [\n`;
  let before = "";
  for (const event of events(input)) {
    yield `${before}{${event}}`;
    before = ",\n";
  }
  yield "\n]}\n";
}

function* events(input: ExportInput): Generator<string> {
  const { session, summary } = input;
  yield metadata("process_name", 0, summary.guest);
  for (let v = 0; v < summary.config.vcpus; v++) yield metadata("thread_name", v + 1, vcpuName(v));
  yield metadata("thread_name", CONSOLE_THREAD, "console");
  yield* exits(input);
  yield* counters(input);
  for (const { timeNs, device, text } of consoleLines(session)) {
    yield `"ph": "i", "s": "t", "pid": 1, "tid": ${CONSOLE_THREAD}, "ts": ${micros(timeNs)}, ` +
      `"cat": "console", "name": ${jsonString(text)}, "args": {"device": ${jsonString(device)}}`;
  }
}

function* exits({ session }: ExportInput): Generator<string> {
  const names = functionNames(session);
  const { rows } = session.query(`
SELECT e.seq, e.icount, e.time_ns, e.vcpu, e.reason::VARCHAR, coalesce(e.rip, 0)::UBIGINT, h.name, h.subop_name, g.ns
FROM exits e LEFT JOIN (SELECT seq, any_value(name) AS name, any_value(subop_name) AS subop_name
    FROM hypercalls WHERE parent_seq IS NULL GROUP BY seq) h ON h.seq = e.seq
  LEFT JOIN (SELECT seq, ns FROM exit_gaps WHERE reason = 'VMEXIT_HLT') g ON g.seq = e.seq
ORDER BY e.seq`);
  for (const [seq, icount, time, vcpu, reason, rip, call, subop, halted] of rows) {
    const place = `"pid": 1, "tid": ${Number(vcpu) + 1}, "ts": ${micros(time)}`;
    const hypercall = call === null
      ? ""
      : `, "hypercall": ${jsonString(subop === null ? String(call) : `${call} ${subop}`)}`;
    const args = `"seq": ${seq}, "icount": ${icount}, "rip": "${hex(rip as bigint)}", ` +
      `"function": ${jsonString(nameOf(names, rip as bigint))}${hypercall}`;
    yield `"ph": "i", "s": "t", ${place}, "cat": "exit", "name": ${
      jsonString(String(reason))
    }, "args": {${args}}`;
    if (halted !== null && Number(halted) > 0) {
      yield `"ph": "X", ${place}, "dur": ${micros(halted)}, "cat": "halt", "name": "halted"`;
    }
  }
}

function* counters({ session }: ExportInput): Generator<string> {
  const { rows } = session.query(`
SELECT time_ns // ${COUNTER_NS} AS step, reason::VARCHAR AS reason, count(*)::DOUBLE FROM exits
GROUP BY ALL ORDER BY step, reason`);
  const shown = new Map<string, number>();
  for (const [step, reason, count] of rows) {
    const last = shown.get(String(reason));
    // A step without exits has no row: the counter goes back to 0 there.
    if (last !== undefined && last + 1 < Number(step)) yield counter(String(reason), last + 1, 0);
    yield counter(String(reason), Number(step), Number(count));
    shown.set(String(reason), Number(step));
  }
  for (const [reason, last] of shown) yield counter(reason, last + 1, 0);
}

function counter(reason: string, step: number, count: number): string {
  return `"ph": "C", "pid": 1, "ts": ${micros(step * COUNTER_NS)}, "name": ${
    jsonString(`${reason} per ms`)
  }, "args": {"exits": ${count}}`;
}

function metadata(name: string, thread: number, value: string): string {
  return `"ph": "M", "pid": 1, "tid": ${thread}, "name": "${name}", "args": {"name": ${jsonString(value)}}`;
}

/** Nanoseconds as microseconds, exactly. */
function micros(ns: unknown): string {
  const text = BigInt(ns as bigint | number).toString().padStart(4, "0");
  return `${text.slice(0, -3)}.${text.slice(-3)}`;
}
