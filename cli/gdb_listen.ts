/**
 * Listening for gdb.
 *
 * @module
 */
import type { Debuggee } from "../replay/gdb/debuggee.ts";
import { GdbServer } from "../replay/gdb/listener.ts";
import type { MonitorExtras } from "../replay/gdb/monitor.ts";
import type { Target } from "../replay/gdb/target.ts";
import { listenError, type Place, shownHost } from "./listen.ts";

/** Used when nothing else is said: this machine only. */
export const GDB_PLACE = "127.0.0.1:1234";

/** Starts listening. @returns the server, and the place as gdb takes it @throws UsageError */
export function listenForGdb(
  debuggee: Debuggee,
  target: Target,
  place: Place,
  extras: MonitorExtras = {},
): { server: GdbServer; shown: string } {
  try {
    const server = new GdbServer(debuggee, target, place.hostname, place.port, extras);
    return { server, shown: `${shownHost(place.hostname)}:${server.port}` };
  } catch (e) {
    throw listenError(e, place);
  }
}
