/**
 * Exits as stacks: who asked the hypervisor for what, and on whose behalf.
 *
 * @module
 */
import type { Session } from "../session.ts";

/** What is shown for addresses that no symbol covers. */
export const UNKNOWN = "(unknown)";

/** Exits that have everything in common. */
export interface ExitStack {
  vcpu: number;
  /** Exit reason. */
  reason: string;
  /** Address of the exit, then return addresses, innermost first. */
  addresses: bigint[];
  /** Functions of `addresses`. */
  functions: string[];
  /** How many exits. */
  count: number;
}

/**
 * All exits by vCPU, reason and stack. Where the stack was sampled at the exit (`sample=N`), its callers are there; else the
 * stack is the exit's own function. The counts add up to all exits. Errors: `QueryError`, `TraceError`.
 */
export function exitStacks(session: Session): ExitStack[] {
  const names = functionNames(session);
  const { rows } = session.query(`
SELECT e.vcpu, e.reason::VARCHAR AS reason, coalesce(e.rip, 0)::UBIGINT AS rip, s.stack, count(*)::DOUBLE AS n
FROM exits e LEFT JOIN (
  SELECT icount, vcpu, rip, any_value(stack) AS stack FROM samples WHERE len(stack) > 0 GROUP BY icount, vcpu, rip
) s ON s.icount = e.icount AND s.vcpu = e.vcpu AND s.rip = e.rip
GROUP BY ALL ORDER BY e.vcpu, rip, reason, s.stack`);
  const stacks: ExitStack[] = [];
  for (const [vcpu, reason, rip, stack, n] of rows) {
    const callers = (stack ?? []) as bigint[];
    stacks.push({
      vcpu: Number(vcpu),
      reason: String(reason),
      addresses: [rip as bigint, ...callers],
      functions: [nameOf(names, rip as bigint), ...callers.map((a) => nameOf(names, insideCall(a)))],
      count: Number(n),
    });
  }
  return stacks;
}

/** Functions of all addresses of exits, and of the calls that sampled stacks return to. Errors: `QueryError`. */
export function functionNames(session: Session): Map<bigint, string> {
  const { rows } = session.query(`
WITH addresses AS (
  SELECT DISTINCT address FROM (
    SELECT coalesce(rip, 0) AS address FROM exits
    UNION ALL
    SELECT greatest(unnest(stack), 1) - 1 FROM samples
  )
)
SELECT a.address::UBIGINT, CASE WHEN c.size = 0 OR a.address - c.start < c.size THEN c.name END
FROM addresses a ASOF LEFT JOIN code_ranges c ON a.address >= c.start`);
  const names = new Map<bigint, string>();
  for (const [address, name] of rows) if (name !== null) names.set(address as bigint, String(name));
  return names;
}

/** The function of an address that `functionNames` looked up. */
export function nameOf(names: ReadonlyMap<bigint, string>, address: bigint): string {
  return names.get(address) ?? UNKNOWN;
}

/** A call that never returns may be its function's last instruction: its return address is the next function's. */
function insideCall(returnAddress: bigint): bigint {
  return returnAddress === 0n ? 0n : returnAddress - 1n;
}
