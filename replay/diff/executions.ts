/**
 * Two recordings compared as executions: where their inputs and exits part, and the first instruction that differs.
 *
 * @module
 */
import { decodeFlip, FLIP_TARGET } from "../../core/faults.ts";
import type { Bundle } from "../../traces/bundle.ts";
import { hex } from "../../traces/hex.ts";
import { type Checkpoint, listCheckpoints } from "../checkpoint_reader.ts";
import { endOf, Scanner, usable } from "../scan/scan.ts";
import type { ScanTable } from "../scan/rows.ts";
import { Finder, type Finding, placeOf } from "./find.ts";
import { firstDifference, inputsAlikeFrom, type RowDifference } from "./tables.ts";

/** What two executions have to do with each other. */
export interface ExecutionDifference {
  /** Why they cannot be compared instruction by instruction: what of the machine or its images differs. */
  unlike: string[];
  /** The first different input and exit; null: all are the same. */
  input: RowDifference | null;
  exit: RowDifference | null;
  /** The first different row of any other table. */
  other: RowDifference | null;
  /** icount of the last checkpoint that has the same state in both; null: there is none. */
  lastEqualCheckpoint: number | null;
  /** icount of the first checkpoint that has not; null: there is none. */
  firstDifferentCheckpoint: number | null;
  /** What the search for an instruction found; null: there was none to do. */
  finding: Finding | null;
  /** Instructions around the place of the finding (`placeOf`): table `instructions` of each. */
  around: { a: ScanTable; b: ScanTable } | null;
}

/** Instructions shown in front of the place of a finding, and behind. */
const BEFORE = 5, BEHIND = 4;

/**
 * Compares two recordings.
 * @param onProgress told to which icount both have been compared, and where that ends
 * @throws TraceError, GuestError, Divergence
 */
export async function compareExecutions(
  a: Bundle,
  b: Bundle,
  onProgress: (icount: number, end: number) => void = () => {},
): Promise<ExecutionDifference> {
  const unlike = differentMachines(a, b), first = (table: string) => firstDifference(a, b, table);
  const input = first("inputs"), exit = first("exits");
  const other = ["hypercalls", "interrupts", "console"].map(first).filter((d) => d !== null)
    .sort((x, y) => x.icount - y.icount)[0] ?? null;
  const checkpoints = compareCheckpoints(a, b);
  const out: ExecutionDifference = {
    unlike,
    input,
    exit,
    other,
    ...checkpoints,
    finding: null,
    around: null,
  };
  const same = input === null && exit === null && other === null &&
    checkpoints.firstDifferentCheckpoint === null;
  if (unlike.length > 0 || (same && endOf(a) === endOf(b))) return out;
  const before = lastEqual(a, b, Math.min(input?.icount ?? Infinity, exit?.icount ?? Infinity));
  const end = Math.min(endOf(a), endOf(b)), sides = [new Scanner(a), new Scanner(b)] as const;
  const alikeFrom = input === null ? 0 : inputsAlikeFrom(a, b, input.row);
  const finder = new Finder(...sides, end, alikeFrom);
  finder.onProgress = (icount) => onProgress(icount, end);
  // A difference in front of the inputs' has another reason.
  const late = input === null || (exit !== null && exit.icount < input.icount);
  out.finding = await finder.find(Math.min(late ? before : input.icount, end));
  const at = placeOf(out.finding);
  if (at !== null) {
    const look = (s: Scanner) => {
      const from = Math.max(0, at - BEFORE), to = at + BEHIND;
      const start = Math.max(
        0,
        usable(s.session.bundle, s.session.checkpoints).findLastIndex((c) => c.icount <= from),
      );
      return s.scan({ table: "instructions", range: null, from, to }, { from, to, start, end: -1 }, () => {});
    };
    out.around = { a: look(sides[0]), b: look(sides[1]) };
  }
  return out;
}

/** What of two machines is not the same. */
function differentMachines(a: Bundle, b: Bundle): string[] {
  const out: string[] = [], x = a.manifest.config, y = b.manifest.config;
  for (const key of Object.keys(x) as (keyof typeof x)[]) {
    if (key !== "name" && JSON.stringify(x[key]) !== JSON.stringify(y[key])) {
      out.push(`${key} is ${JSON.stringify(x[key])} and ${JSON.stringify(y[key])}`);
    }
  }
  const images = (bundle: Bundle) => bundle.images().map((i) => i.bytes), [p, q] = [images(a), images(b)];
  if (p.length !== q.length) out.push(`there are ${p.length} and ${q.length} images`);
  else if (p.some((bytes, n) => bytes.length !== q[n].length || bytes.some((v, i) => v !== q[n][i]))) {
    out.push("the images differ");
  }
  return out;
}

function compareCheckpoints(
  a: Bundle,
  b: Bundle,
): Pick<ExecutionDifference, "lastEqualCheckpoint" | "firstDifferentCheckpoint"> {
  const others = new Map(listCheckpoints(b).map((c) => [c.icount, hex(c.hash)]));
  let last: number | null = null, first: number | null = null;
  for (const c of listCheckpoints(a)) {
    const other = others.get(c.icount);
    if (other === undefined) continue;
    if (other === hex(c.hash)) last = c.icount;
    else {
      first = c.icount;
      break;
    }
  }
  return { lastEqualCheckpoint: last, firstDifferentCheckpoint: first };
}

/** icount of the last equal checkpoint in front of an icount, from which both can go on; 0 when there is none. */
function lastEqual(a: Bundle, b: Bundle, icount: number): number {
  const of = (bundle: Bundle): readonly Checkpoint[] => usable(bundle, listCheckpoints(bundle));
  const others = new Map(of(b).map((c) => [c.icount, hex(c.hash)]));
  return of(a).findLast((c) => c.icount < icount && others.get(c.icount) === hex(c.hash))?.icount ?? 0;
}

/** An input as people read it. */
export function describeInput(row: Record<string, string> | null): string {
  if (row === null) return "none";
  const bytes = Uint8Array.from(row.payload?.match(/../g) ?? [], (h) => parseInt(h, 16));
  const flip = row.kind === "fault" && row.target === FLIP_TARGET ? decodeFlip(bytes) : null;
  const what = flip === null
    ? `${row.kind} for ${row.target}, ${bytes.length} bytes ${row.payload ?? ""}`
    : `fault: bit ${flip.bit} of 0x${flip.gpa.toString(16)} flips`;
  return `${what.trim()} at icount ${row.icount}`;
}
