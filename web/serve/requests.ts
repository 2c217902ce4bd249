/**
 * Which requests the server answers at all.
 *
 * @module
 */
import { isIP } from "node:net";
import { SQL_LENGTH_MAX } from "../model/sql_answer.ts";

/** A request that is refused: status and a sentence. */
export class Refusal extends Error {
  /** Always "Refusal". */
  override name = "Refusal";
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/**
 * Refuses what no page of this server sends.
 *
 * A name that an attacker's DNS points to this machine (DNS rebinding) shows in the Host header: only addresses, localhost
 * and the name that the server was told to listen on are taken. Requests that other sites' pages make show in Origin and
 * Sec-Fetch-Site (W3C, Fetch Metadata Request Headers).
 *
 * @param listenName the host of `--listen`
 * @throws Refusal
 */
export function requireOwnPage(request: Request, listenName: string): void {
  if (request.method !== "GET") {
    throw new Refusal(405, `Only GET is answered here, not ${request.method.slice(0, 20)}.`);
  }
  const host = request.headers.get("host") ?? "", name = hostName(host);
  if (name === null || !(isIP(name) > 0 || name === "localhost" || name === listenName.toLowerCase())) {
    throw new Refusal(
      421,
      "This server is not known by the name in the request's Host header; use its address.",
    );
  }
  const origin = request.headers.get("origin"), site = request.headers.get("sec-fetch-site");
  if (origin !== null && origin !== `http://${host}`) throw new Refusal(403, "Other sites may not ask here.");
  // Following a link to the page is all that another site may do.
  const follows = request.headers.get("sec-fetch-mode") === "navigate" &&
    new URL(request.url).pathname === "/";
  if (site !== null && site !== "same-origin" && site !== "none" && !follows) {
    throw new Refusal(403, "Other sites may not ask here.");
  }
}

/** Name or address in a Host header, without port and brackets, in lower case; null when it is none. */
function hostName(host: string): string | null {
  const m = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(host);
  return m === null ? null : (m[1] ?? m[2]).toLowerCase();
}

/** A number in the query. @throws Refusal */
export function numberOf(query: URLSearchParams, name: string): number {
  const text = query.get(name) ?? "", value = Number(text);
  if (text === "" || text.length > 40 || !Number.isFinite(value)) {
    throw new Refusal(400, `The request needs ${name}, a number.`);
  }
  return value;
}

/** The SQL in the query. @throws Refusal */
export function sqlOf(query: URLSearchParams): string {
  const sql = query.get("q");
  if (sql === null) throw new Refusal(400, "The request needs q, the question in SQL.");
  if (sql.length > SQL_LENGTH_MAX) {
    throw new Refusal(413, `The SQL is longer than ${SQL_LENGTH_MAX} characters.`);
  }
  return sql;
}
