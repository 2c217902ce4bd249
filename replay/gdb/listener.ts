/**
 * Sockets for the debugger: one client at a time, on loopback unless told otherwise.
 *
 * @module
 */
import type { Debuggee } from "./debuggee.ts";
import type { MonitorExtras } from "./monitor.ts";
import { encodePacket, type Incoming, PacketReader } from "./packets.ts";
import { GdbSession } from "./server.ts";
import type { Target } from "./target.ts";

/** Most packets that may wait while one is carried out. */
const QUEUE_MAX = 64;

/** A byte stream to a client, as `Deno.Conn` is. */
export interface Connection {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** Serves one client to its end. */
class Client {
  readonly #reader = new PacketReader();
  readonly #queue: Incoming[] = [];
  readonly #session: GdbSession;
  #ack = true;
  #open = true;
  #interrupt = false;
  #wake: (() => void) | null = null;
  #last: Uint8Array = new Uint8Array();

  constructor(readonly connection: Connection, debuggee: Debuggee, target: Target, extras: MonitorExtras) {
    this.#session = new GdbSession(debuggee, target, () => this.#interrupt || !this.#open, extras);
  }

  /** Ends when the client leaves, breaks off or stops making sense. */
  async serve(): Promise<void> {
    const reading = this.#read();
    try {
      for (let next = await this.#next(); next !== null; next = await this.#next()) {
        if (!await this.#take(next)) break;
      }
    } catch (e) {
      if (!isConnectionError(e)) throw e;
    } finally {
      this.close();
      await reading;
      await this.#session.end();
    }
  }

  /** Breaks off. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      this.connection.close();
    } catch (e) {
      if (!isConnectionError(e)) throw e;
    }
    this.#wake?.();
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(4096);
    try {
      while (this.#open) {
        const n = await this.connection.read(buffer);
        if (n === null) break;
        for (const i of this.#reader.push(buffer.subarray(0, n))) {
          if (i.kind === "interrupt") this.#interrupt = true;
          else this.#queue.push(i);
        }
        if (this.#queue.length > QUEUE_MAX) break;
        this.#wake?.();
      }
    } catch (e) {
      if (!isConnectionError(e) && !(e instanceof RangeError)) throw e;
    }
    // Half-closed or nonsense: there is nobody to work for.
    this.close();
  }

  async #next(): Promise<Incoming | null> {
    while (this.#open) {
      const next = this.#queue.shift();
      if (next !== undefined) return next;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
      this.#wake = null;
    }
    return null;
  }

  async #take(i: Incoming): Promise<boolean> {
    if (i.kind === "nack" && this.#ack) await this.#send(this.#last);
    if (i.kind === "bad" && this.#ack) await this.#send(Uint8Array.of(0x2d));
    if (i.kind !== "packet") return true;
    if (this.#ack) await this.#send(Uint8Array.of(0x2b));
    this.#interrupt = false;
    const answer = await this.#session.answer(i.text);
    if (answer.text !== null) {
      this.#last = encodePacket(answer.text);
      await this.#send(this.#last);
    }
    if (answer.noAck) this.#ack = false;
    return answer.close !== true;
  }

  async #send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && this.#open;) at += await this.connection.write(bytes.subarray(at));
  }
}

/** True for what a peer can bring about by going away. */
function isConnectionError(e: unknown): boolean {
  return e instanceof Deno.errors.BrokenPipe || e instanceof Deno.errors.ConnectionReset ||
    e instanceof Deno.errors.ConnectionAborted || e instanceof Deno.errors.BadResource ||
    e instanceof Deno.errors.Interrupted || e instanceof Deno.errors.NotConnected ||
    e instanceof Deno.errors.UnexpectedEof;
}

/** A listening debugger. */
export class GdbServer {
  readonly #listener: Deno.TcpListener;
  #client: Client | null = null;
  #closed = false;
  /** Told about clients that come and go. */
  onClient: ((what: "connected" | "refused" | "left") => void) | null = null;

  /** @throws Deno.errors.AddrInUse and what else listening may throw */
  constructor(
    readonly debuggee: Debuggee,
    readonly target: Target,
    hostname: string,
    port: number,
    readonly extras: MonitorExtras = {},
  ) {
    this.#listener = Deno.listen({ hostname, port });
  }

  /** Port that is listened on. */
  get port(): number {
    return this.#listener.addr.port;
  }

  /** Serves clients one after the other until `close`; a second one at the same time is turned away. */
  async serve(): Promise<void> {
    let serving: Promise<void> = Promise.resolve();
    while (!this.#closed) {
      const connection = await this.#accept();
      if (connection === null) continue;
      if (this.#client !== null) {
        connection.close();
        this.onClient?.("refused");
        continue;
      }
      this.onClient?.("connected");
      const client = this.#client = new Client(connection, this.debuggee, this.target, this.extras);
      serving = client.serve().finally(() => {
        this.#client = null;
        this.onClient?.("left");
      });
      serving.catch(() => this.close());
    }
    await serving;
  }

  async #accept(): Promise<Deno.TcpConn | null> {
    try {
      return await this.#listener.accept();
    } catch (e) {
      if (!isConnectionError(e)) throw e;
      return null;
    }
  }

  /** Ends. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.close();
    this.#client?.close();
  }
}
