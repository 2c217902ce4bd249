/**
 * What gdb's `monitor` command does here.
 *
 * @module
 */
import type { Batch } from "../../traces/batch.ts";
import { RowCursor } from "../../traces/cursor.ts";
import type { Arrival, Traveler } from "../traveler.ts";
import { hexBytes } from "./packets.ts";
import type { Target } from "./target.ts";

/** Most rows that `exits` prints, and bytes that `xp` does. */
const ROWS_MAX = 200, BYTES_MAX = 1024;

const HELP = `when                  where we are: icount, virtual time, vCPU
seek ICOUNT           go there; then say: maintenance flush register-cache
exits [N]             the N recorded exits before here and behind (8)
next-exit [REASON]    go to the next exit, of that reason
prev-exit [REASON]    go to the last exit before here, of that reason
checkpoint            remember this place: coming back is fast
xp ADDRESS [LENGTH]   bytes at a guest-physical address
help                  this
`;

/** Carries out one command. @returns what is printed */
export async function monitor(traveler: Traveler, target: Target, line: string): Promise<string> {
  const [verb, ...args] = line.trim().split(/\s+/);
  switch (verb) {
    case "when":
      return when(traveler);
    case "seek":
      return await seek(traveler, args);
    case "exits":
      return exits(traveler, args);
    case "next-exit":
    case "prev-exit":
      return await toExit(traveler, args[0] ?? "", verb === "next-exit" ? 1 : -1);
    case "checkpoint":
      traveler.remember();
      return `Remembered icount ${traveler.icount}; ${traveler.snapshots.list.length} places in memory.\n`;
    case "xp":
      return physical(target, args);
    case "":
    case "help":
      return HELP;
    default:
      return `There is no monitor command "${verb.slice(0, 40)}"; monitor help lists them.\n`;
  }
}

function when(t: Traveler): string {
  const { vcpu, rip, cpl } = t.machine.where();
  const ended = t.machine.outcome === null ? "" : `; the run has ended: ${t.machine.outcome.kind}`;
  return `icount ${t.icount} of ${t.end}, ${Math.floor(t.machine.timeNs)} ns, vCPU ${vcpu}, RIP 0x${
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

function exits(t: Traveler, args: string[]): string {
  const n = args.length === 0 ? 8 : count(args[0]);
  if (n === null || n > ROWS_MAX) return `exits takes a number of rows up to ${ROWS_MAX}.\n`;
  const table = t.session.bundle.table("exits"), here = t.session.comparer.reached("exits");
  const first = Math.max(0, here - n), cursor = new RowCursor(table);
  cursor.seek(first);
  let out = "";
  for (; cursor.batch !== null && cursor.index < here + n; cursor.advance()) {
    out += `${cursor.index < here ? " " : cursor.index === here ? ">" : " "} ${
      row(cursor.batch, cursor.row)
    }\n`;
  }
  return out === "" ? "The recording has no exits here.\n" : out;
}

function row(b: Batch, at: number): string {
  const rip = b.bigint("rip", at);
  const where = rip === null ? "" : `  rip 0x${rip.toString(16)}`;
  return `${String(b.number("icount", at)).padStart(14)}  vcpu ${b.number("vcpu", at)}  ${
    (b.text("reason", at) ?? "?").padEnd(24)
  }${where}`;
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
