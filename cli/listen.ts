/**
 * Where a verb listens.
 *
 * @module
 */
import { UsageError } from "./exit_code.ts";

/** An address to listen on. */
export interface Place {
  hostname: string;
  port: number;
}

/**
 * HOST:PORT, [V6]:PORT, :PORT or PORT.
 * @param otherwise when it was not given
 * @param option its name, for people
 * @throws UsageError
 */
export function listenOption(text: string | undefined, otherwise: string, option = "listen"): Place {
  const given = text ?? otherwise;
  const m = /^(?:(?:\[([0-9a-fA-F:]+)\]|([^:[\]]*)):)?([0-9]{1,5})$/.exec(given), port = Number(m?.[3]);
  if (m === null || port > 65535) {
    throw new UsageError(`Option --${option} takes HOST:PORT such as ${otherwise}, not "${given}".`);
  }
  return { hostname: m[1] ?? (m[2] || "127.0.0.1"), port };
}

/** A host as it is written before a port. */
export function shownHost(hostname: string): string {
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}

/** Why a place cannot be listened on, in a sentence. A permission that is missing stays what it is. */
export function listenError(error: unknown, { hostname, port }: Place): unknown {
  if (!(error instanceof Error) || error instanceof Deno.errors.NotCapable) return error;
  return new UsageError(`Cannot listen on ${shownHost(hostname)}:${port}: ${error.message}.`);
}
