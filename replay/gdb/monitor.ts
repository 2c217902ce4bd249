/**
 * What gdb's `monitor` command does here.
 *
 * @module
 */
import type { Batch } from "../../traces/batch.ts";
import { RowCursor } from "../../traces/cursor.ts";
import type { Store } from "../../traces/store.ts";
import type { Traveler } from "../traveler.ts";
import type { Arrival, Debuggee } from "./debuggee.ts";
import { hexBytes } from "./packets.ts";
import type { Target } from "./target.ts";

/** Most rows that `exits` prints, and bytes that `xp` does. */
const ROWS_MAX = 200, BYTES_MAX = 1024;

/** Most bytes of the guest's output that `xl dmesg` prints. */
const CONSOLE_CHARS_MAX = 6000;

/** What `monitor` can do only with what lies outside of this folder. */
export interface MonitorExtras {
  /** Answers SQL about the recording. */
  sql?: (query: string) => Promise<string>;
  /** Where the recording of the next branch goes. */
  branchPlace?: () => string | Store;
}

const HELP = `when                  where we are: icount, virtual time, vCPU
seek ICOUNT           go there; then say: maintenance flush register-cache
exits [N]             the N recorded exits before here and behind (8)
hypercalls [N]        the same of hypercalls
next-exit [REASON]    go to the next exit, of that reason
prev-exit [REASON]    go to the last exit before here, of that reason
xl dmesg              what the guest has printed up to here
checkpoint            remember this place: coming back is fast
branch                go on differently from here: a machine that can be written to, recorded anew
branch end            end the branch, back to the recording
sql QUERY             ask the recording: sql FROM exit_summary
xp ADDRESS [LENGTH]   bytes at a guest-physical address
help                  this
`;

/** Carries out one command. @returns what is printed */
export async function monitor(
  debuggee: Debuggee,
  target: Target,
  line: string,
  extras: MonitorExtras = {},
): Promise<string> {
  const [verb, ...args] = line.trim().split(/\s+/);
  switch (verb) {
    case "when":
      return when(debuggee);
    case "xp":
      return physical(target, args);
    case "":
    case "help":
      return HELP;
    default:
      if (!VERBS.has(verb)) {
        return `There is no monitor command "${verb.slice(0, 40)}"; monitor help lists them.\n`;
      }
      if (debuggee.live) return `monitor ${verb} is for recordings; this machine runs.\n`;
      return await ofRecording(debuggee, verb, args, line, extras);
  }
}

const VERBS = new Set(["seek", "exits", "hypercalls", "next-exit", "prev-exit", "xl", "checkpoint", "sql"]);

async function ofRecording(
  traveler: Traveler,
  verb: string,
  args: string[],
  line: string,
  extras: MonitorExtras,
): Promise<string> {
  switch (verb) {
    case "seek":
      return await seek(traveler, args);
    case "exits":
      return around(traveler, "exits", exitRow, args);
    case "hypercalls":
      return around(traveler, "hypercalls", hypercallRow, args);
    case "next-exit":
    case "prev-exit":
      return await toExit(traveler, args[0] ?? "", verb === "next-exit" ? 1 : -1);
    case "xl":
      return args[0] === "dmesg" ? printed(traveler) : "xl knows dmesg here.\n";
    case "sql": {
      const query = line.trim().slice(3).trim();
      if (extras.sql === undefined) return "SQL cannot be answered here.\n";
      return query === "" ? "sql takes a query: sql FROM exit_summary\n" : await extras.sql(query);
    }
    default:
      traveler.remember();
      return `Remembered icount ${traveler.icount}; ${traveler.snapshots.list.length} places in memory.\n`;
  }
}

function when(d: Debuggee): string {
  const { vcpu, rip, cpl } = d.machine.where();
  const ended = d.machine.outcome === null ? "" : `; the run has ended: ${d.machine.outcome.kind}`;
  const of = d.live ? ` (${d.label})` : ` of ${d.end}`;
  return `icount ${d.icount}${of}, ${Math.floor(d.machine.timeNs)} ns, vCPU ${vcpu}, RIP 0x${
    rip.toString(16)
  }, CPL ${cpl}${ended}\n`;
}

/** A count as people write it: decimal or 0x, with `_` between digits; null when it is none. */
function count(text: string | undefined): number | null {
  const plain = (text ?? "").replaceAll("_", "");
  if (!/^([0-9]+|0x[0-9a-f]+)$/i.test(plain)) return null;
  const n = Number(plain);
  return Number.isSafeInteger(n) ? n : null;
}

function arrived(t: Traveler, how: Arrival): string {
  if (how.kind === "interrupted") return `Interrupted at icount ${t.icount}.\n`;
  return when(t);
}

async function seek(t: Traveler, args: string[]): Promise<string> {
  const to = count(args[0]);
  if (to === null) return "seek takes an instruction count such as 1000000 or 0x100.\n";
  return arrived(t, await t.seek(to));
}

/** Rows of a table before and behind here. */
function around(
  t: Traveler,
  name: "exits" | "hypercalls",
  show: (b: Batch, row: number) => string,
  args: string[],
): string {
  const n = args.length === 0 ? 8 : count(args[0]);
  if (n === null || n > ROWS_MAX) return `${name} takes a number of rows up to ${ROWS_MAX}.\n`;
  const here = t.session.comparer.reached(name), cursor = new RowCursor(t.session.bundle.table(name));
  cursor.seek(Math.max(0, here - n));
  let out = "";
  for (; cursor.batch !== null && cursor.index < here + n; cursor.advance()) {
    out += `${cursor.index === here ? ">" : " "} ${show(cursor.batch, cursor.row)}\n`;
  }
  return out === "" ? `The recording has no ${name} here.\n` : out;
}

function exitRow(b: Batch, at: number): string {
  const rip = b.bigint("rip", at);
  const where = rip === null ? "" : `  rip 0x${rip.toString(16)}`;
  return `${String(b.number("icount", at)).padStart(14)}  vcpu ${b.number("vcpu", at)}  ${
    (b.text("reason", at) ?? "?").padEnd(24)
  }${where}`;
}

function hypercallRow(b: Batch, at: number): string {
  const args = ["arg0", "arg1", "arg2"].map((a) => b.bigint(a, at)).filter((a) => a !== null);
  const name = [b.text("name", at), b.text("subop_name", at)].filter((n) => n !== null).join(" ");
  const result = b.text("errno_name", at) ?? String(b.bigint("result", at));
  return `${String(b.number("icount", at)).padStart(14)}  vcpu ${b.number("vcpu", at)}  ${name.padEnd(36)} (${
    args.map((a) => `0x${a.toString(16)}`).join(", ")
  }) = ${result}`;
}

/** The end of what the guest has printed up to here. */
function printed(t: Traveler): string {
  const cursor = new RowCursor(t.session.bundle.table("console")),
    here = t.session.comparer.reached("console");
  cursor.seek(Math.max(0, here - CONSOLE_CHARS_MAX));
  let text = "";
  for (; cursor.batch !== null && cursor.index < here; cursor.advance()) {
    text = (text + (cursor.batch.text("text", cursor.row) ?? "")).slice(-CONSOLE_CHARS_MAX);
  }
  const lines = text.replaceAll("\r", "").replace(/[^\n\t\x20-\x7e]/g, "?");
  return lines === "" ? "The guest has printed nothing yet.\n" : lines.endsWith("\n") ? lines : `${lines}\n`;
}

async function toExit(t: Traveler, reason: string, direction: 1 | -1): Promise<string> {
  const wanted = reason.toUpperCase().replace(/^VMEXIT_/, "");
  const to = findExit(t, wanted, direction);
  if (to === null) {
    return `There is no ${direction > 0 ? "later" : "earlier"} exit${
      reason ? ` ${reason.slice(0, 40)}` : ""
    }.\n`;
  }
  return arrived(t, await t.seek(to));
}

/** icount of the nearest recorded exit in a direction. */
function findExit(t: Traveler, wanted: string, direction: 1 | -1): number | null {
  const matches = (b: Batch, at: number) =>
    wanted === "" || (b.text("reason", at) ?? "").replace(/^VMEXIT_/, "") === wanted;
  const cursor = new RowCursor(t.session.bundle.table("exits"));
  let found: number | null = null;
  for (; cursor.batch !== null; cursor.advance()) {
    const icount = cursor.batch.number("icount", cursor.row);
    if (direction < 0 ? icount >= t.icount : icount <= t.icount) {
      if (direction < 0) break;
      continue;
    }
    if (!matches(cursor.batch, cursor.row)) continue;
    found = icount;
    if (direction > 0) break;
  }
  return found;
}

function physical(target: Target, args: string[]): string {
  const address = count(args[0]), length = args.length < 2 ? 16 : count(args[1]);
  if (address === null || length === null || length > BYTES_MAX) {
    return `xp takes a guest-physical address and a length up to ${BYTES_MAX}.\n`;
  }
  const bytes = target.read(target.machine.vcpus.active, address, length, true);
  if (bytes.length === 0) return `There is no memory at 0x${address.toString(16)}.\n`;
  let out = "";
  for (let i = 0; i < bytes.length; i += 16) {
    out += `${(address + i).toString(16).padStart(8, "0")}: ${
      hexBytes(bytes.subarray(i, i + 16)).replace(/(..)/g, "$1 ").trimEnd()
    }\n`;
  }
  return out;
}
