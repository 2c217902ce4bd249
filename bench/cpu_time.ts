/**
 * Processor time of processes, user and system, all threads together.
 *
 * @module
 */
import process from "node:process";

/** Processor milliseconds that this process has used. */
export function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Processor milliseconds that the living threads of a process have used (Linux: /proc/PID/task/TID/schedstat). */
export function cpuMsOf(pid: number): number {
  let ns = 0;
  try {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
      ns += Number(Deno.readTextFileSync(`/proc/${pid}/task/${name}/schedstat`).split(" ")[0]);
    }
  } catch { /* A thread ended meanwhile. */ }
  return ns / 1e6;
}
