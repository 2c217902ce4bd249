/**
 * Counts taken straight from a bundle's batches, for summaries that must not wait for a database to start.
 *
 * @module
 */
import { reasonName } from "../core/exits.ts";
import type { Bundle } from "../traces/bundle.ts";

/** Something counted, most frequent first. */
export interface Count {
  name: string;
  count: number;
}

/** Exits by reason. @throws TraceError when a batch is damaged */
export function countReasons(bundle: Bundle): Count[] {
  const counts = new Map<number, number>();
  const table = bundle.table("exits");
  for (let b = 0; b < table.batchCount; b++) {
    const batch = table.batch(b);
    const { u32 } = batch.column("reason_code");
    for (let row = 0; row < batch.rows; row++) counts.set(u32[row], (counts.get(u32[row]) ?? 0) + 1);
  }
  return sorted([...counts].map(([code, count]) => ({ name: reasonName(code), count })));
}

/** Hypercalls by name and sub-operation. @throws TraceError when a batch is damaged */
export function countHypercalls(bundle: Bundle): Count[] {
  const counts = new Map<string, number>();
  const table = bundle.table("hypercalls");
  for (let b = 0; b < table.batchCount; b++) {
    const batch = table.batch(b);
    for (let row = 0; row < batch.rows; row++) {
      const subop = batch.text("subop_name", row);
      const name = `${batch.text("name", row) ?? "?"}${subop === null ? "" : ` ${subop}`}`;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  return sorted([...counts].map(([name, count]) => ({ name, count })));
}

function sorted(counts: Count[]): Count[] {
  return counts.sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
}
