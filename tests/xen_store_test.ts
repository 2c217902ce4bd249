import { assertEquals } from "@std/assert";
import { XsType } from "../core/xen/store.ts";
import { Guest, HC } from "./xen_fixture.ts";

const RING = 0xfeffc000, REQ_PROD = RING + 2052, RSP_CONS = RING + 2056, RSP_PROD = RING + 2060;
const T = XsType;

/** The guest's end of the ring. */
class Client {
  readonly g = new Guest({ name: "tester", vcpus: 2 });
  #id = 0;
  #inbox: number[] = [];

  /** Sends one request, in pieces of at most `piece` bytes, and gives every message that came back. */
  send(type: number, payload: string, tx = 0, piece = 1024): { type: number; id: number; text: string }[] {
    const bytes = new Uint8Array(16 + payload.length), v = new DataView(bytes.buffer);
    [type, ++this.#id, tx, payload.length].forEach((w, i) => v.setUint32(i * 4, w, true));
    for (let i = 0; i < payload.length; i++) bytes[16 + i] = payload.charCodeAt(i);
    for (let at = 0; at < bytes.length; at += piece) {
      let prod = this.g.mem.read32(REQ_PROD);
      for (const b of bytes.subarray(at, at + piece)) this.g.mem.write8(RING + (prod++ & 1023), b);
      this.g.mem.write32(REQ_PROD, prod >>> 0);
      this.kick();
    }
    return this.receive();
  }
  kick(): void {
    assertEquals(this.g.call(HC.evtchn, 4, this.g.put(0x6000, 1)), 0);
    this.settle();
  }
  /** Lets time pass until the daemon has nothing more to do. */
  settle(): void {
    const { clock } = this.g.host;
    for (let i = 0; i < 10_000 && clock.nextNs() < Infinity; i++) {
      this.g.advance(clock.nextNs() - clock.now());
    }
  }
  receive(): { type: number; id: number; text: string }[] {
    for (;;) {
      let cons = this.g.mem.read32(RSP_CONS);
      const prod = this.g.mem.read32(RSP_PROD);
      if (cons === prod) break;
      while (cons !== prod) {
        this.#inbox.push(this.g.mem.read8(RING + 1024 + (cons & 1023)));
        cons = cons + 1 >>> 0;
      }
      this.g.mem.write32(RSP_CONS, cons);
      this.kick();
    }
    const out = [];
    while (this.#inbox.length >= 16) {
      const v = new DataView(Uint8Array.from(this.#inbox).buffer), length = v.getUint32(12, true);
      if (this.#inbox.length < 16 + length) break;
      const text = String.fromCharCode(...this.#inbox.slice(16, 16 + length));
      out.push({ type: v.getUint32(0, true), id: v.getUint32(4, true), text });
      this.#inbox = this.#inbox.slice(16 + length);
    }
    return out;
  }
  /** One request with one reply: its text, or "!ERROR". */
  ask(type: number, payload: string, tx = 0): string {
    const [reply, ...rest] = this.send(type, payload, tx);
    assertEquals([rest.length, reply.id], [0, this.#id]);
    if (reply.type === T.ERROR) return `!${reply.text.slice(0, -1)}`;
    assertEquals(reply.type, type);
    return reply.text;
  }
}

Deno.test("xenstore has the nodes that xl makes for a PVH domain", () => {
  const c = new Client();
  assertEquals(c.ask(T.READ, "domid\0"), "1");
  assertEquals(c.ask(T.READ, "/local/domain/1/name\0"), "tester");
  assertEquals(c.ask(T.READ, "memory/target\0"), "4096");
  assertEquals(c.ask(T.READ, "store/port\0"), "1");
  assertEquals(c.ask(T.READ, "console/ring-ref\0"), String(0xfefff));
  assertEquals(c.ask(T.DIRECTORY, "cpu\0"), "0\x001\0");
  assertEquals(c.ask(T.DIRECTORY, "device\0"), "suspend\0");
  assertEquals(c.ask(T.READ, `${c.ask(T.READ, "vm\0")}/name\0`), "tester");
  assertEquals(c.ask(T.GET_PERMS, "control/shutdown\0"), "n1\0");
  assertEquals(c.ask(T.GET_DOMAIN_PATH, "7\0"), "/local/domain/7\0");
});

Deno.test("xenstore keeps the guest to what it may read and write", () => {
  const c = new Client();
  assertEquals(c.ask(T.READ, "data/none\0"), "!ENOENT");
  assertEquals(c.ask(T.READ, "/libxl/1/type\0"), "!EACCES");
  assertEquals(c.ask(T.WRITE, "memory/target\x001"), "!EACCES");
  assertEquals(c.ask(T.WRITE, "new\x001"), "!EACCES");
  assertEquals(c.ask(T.WRITE, "data/a/b\0value"), "OK\0");
  assertEquals([c.ask(T.READ, "data/a/b\0"), c.ask(T.DIRECTORY, "data\0")], ["value", "a\0"]);
  assertEquals(c.ask(T.GET_PERMS, "data/a/b\0"), "n1\0");
  assertEquals(c.ask(T.SET_PERMS, "data/a\0n1\0r0\0"), "OK\0");
  assertEquals(c.ask(T.GET_PERMS, "data/a\0"), "n1\0r0\0");
  assertEquals([c.ask(T.SET_PERMS, "data/a\0n0\0"), c.ask(T.SET_PERMS, "data/a\0x1\0")], [
    "!EPERM",
    "!EINVAL",
  ]);
  assertEquals([c.ask(T.MKDIR, "data/d\0"), c.ask(T.MKDIR, "data/d\0"), c.ask(T.RM, "data/a\0")], [
    "OK\0",
    "OK\0",
    "OK\0",
  ]);
  assertEquals([c.ask(T.READ, "data/a/b\0"), c.ask(T.RM, "data/a\0"), c.ask(T.RM, "data/x/y\0")], [
    "!ENOENT",
    "OK\0",
    "!ENOENT",
  ]);
  assertEquals([c.ask(T.RM, "/\0"), c.ask(T.MKDIR, "/\0")], ["!EINVAL", "!EACCES"]);
});

Deno.test("xenstore refuses malformed requests and those for the tools", () => {
  const c = new Client();
  for (const bad of ["", "data", "a b\0", "/x//y\0", "/x/\0", "data\0data\0"]) {
    assertEquals(c.ask(T.READ, bad), "!EINVAL");
  }
  for (const type of [T.CONTROL, T.INTRODUCE, T.RELEASE, T.IS_DOMAIN_INTRODUCED, T.RESUME, T.SET_TARGET]) {
    assertEquals(c.ask(type, "1\0"), "!EACCES");
  }
  for (const type of [T.WATCH_EVENT, T.ERROR, 20, 23, 0xffffffff]) {
    assertEquals(c.ask(type, "x\0"), "!ENOSYS");
  }
  assertEquals([c.ask(T.WRITE, "data/x"), c.ask(T.WATCH, "data\0")], ["!EINVAL", "!EINVAL"]);
});

Deno.test("xenstore takes requests in pieces and long replies across the ring", () => {
  const c = new Client(), value = "v".repeat(1900);
  const [reply] = c.send(T.WRITE, `data/long\0${value}`, 0, 7);
  assertEquals(reply.text, "OK\0");
  assertEquals(c.ask(T.READ, "data/long\0"), value);
  // A node has its quota.
  assertEquals(c.ask(T.WRITE, `data/longer\0${"v".repeat(2048)}`), "!ENOSPC");
  // The tools have no quota; such a directory does not fit one message.
  const tools = (i: number) => `/local/domain/1/data/name-${"n".repeat(60)}-${i}`;
  for (let i = 0; i < 80; i++) c.g.xen.store.toolsWrite(tools(i), "");
  assertEquals(c.ask(T.DIRECTORY, "data\0"), "!E2BIG");
  let text = "", offset = 0;
  for (let rounds = 0; rounds < 10; rounds++) {
    const part = c.ask(T.DIRECTORY_PART, `data\0${offset}\0`), names = part.slice(part.indexOf("\0") + 1);
    const end = names.endsWith("\0\0") || names === "\0";
    text += end ? names.slice(0, -1) : names;
    offset = text.length;
    if (end) break;
  }
  assertEquals(text.split("\0").length, 82);
});

Deno.test("xenstore transactions are seen at their end, or fail when the nodes changed", () => {
  const c = new Client();
  const start = () => Number(c.ask(T.TRANSACTION_START, "\0").slice(0, -1));
  const t = start();
  assertEquals(c.ask(T.WRITE, "data/x\x001", t), "OK\0");
  assertEquals([c.ask(T.READ, "data/x\0", t), c.ask(T.READ, "data/x\0")], ["1", "!ENOENT"]);
  assertEquals([c.ask(T.TRANSACTION_END, "T\0", t), c.ask(T.READ, "data/x\0")], ["OK\0", "1"]);
  const a = start(), b = start();
  c.ask(T.WRITE, "data/x\x002", a);
  assertEquals(c.ask(T.READ, "data/x\0", b), "1");
  assertEquals([c.ask(T.TRANSACTION_END, "T\0", a), c.ask(T.TRANSACTION_END, "T\0", b)], ["OK\0", "!EAGAIN"]);
  const other = start();
  c.ask(T.READ, "data/x\0", other);
  c.ask(T.WRITE, "attr/y\x001");
  assertEquals(c.ask(T.TRANSACTION_END, "T\0", other), "OK\0");
  const dropped = start();
  c.ask(T.RM, "data/x\0", dropped);
  assertEquals([c.ask(T.TRANSACTION_END, "F\0", dropped), c.ask(T.READ, "data/x\0")], ["OK\0", "2"]);
  assertEquals([c.ask(T.READ, "data/x\0", 99), c.ask(T.TRANSACTION_END, "T\0", 99)], ["!ENOENT", "!ENOENT"]);
  const many = Array.from({ length: 11 }, () => c.ask(T.TRANSACTION_START, "\0"));
  assertEquals(many.filter((r) => r === "!ENOSPC").length, 1);
});

Deno.test("xenstore watches fire at once, on changes at and below, and relative as given", () => {
  const c = new Client();
  const texts = (m: { type: number; text: string }[]) => m.map((x) => [x.type, x.text]);
  assertEquals(texts(c.send(T.WATCH, "data\0tok\0")), [[T.WATCH, "OK\0"], [T.WATCH_EVENT, "data\0tok\0"]]);
  assertEquals(texts(c.send(T.WATCH, "data\0tok\0")), [[T.ERROR, "EEXIST\0"]]);
  assertEquals(texts(c.send(T.WRITE, "data/a\x001")), [[T.WRITE, "OK\0"], [T.WATCH_EVENT, "data/a\0tok\0"]]);
  c.send(T.WATCH, "/local/domain/1/data/a/b\0deep\0");
  c.send(T.WRITE, "data/a/b\x001");
  assertEquals(texts(c.send(T.RM, "data/a\0")), [
    [T.RM, "OK\0"],
    [T.WATCH_EVENT, "data/a\0tok\0"],
    [T.WATCH_EVENT, "/local/domain/1/data/a/b\0deep\0"],
  ]);
  c.send(T.WATCH, "control/shutdown\0FE\0");
  c.g.xen.store.toolsWrite("/local/domain/1/control/shutdown", "poweroff");
  c.settle();
  assertEquals(texts(c.receive()), [[T.WATCH_EVENT, "control/shutdown\0FE\0"]]);
  assertEquals(c.ask(T.READ, "control/shutdown\0"), "poweroff");
  assertEquals([c.ask(T.UNWATCH, "data\0tok\0"), c.ask(T.UNWATCH, "data\0tok\0")], ["OK\0", "!ENOENT"]);
  assertEquals(c.ask(T.RESET_WATCHES, "\0"), "OK\0");
  assertEquals(texts(c.send(T.WRITE, "control/shutdown\0")), [[T.WRITE, "OK\0"]]);
});

Deno.test("xenstore bounds nodes, watches, and transactions of a guest", () => {
  const c = new Client();
  let nodes = 0;
  while (nodes < 2000 && c.ask(T.WRITE, `data/n${nodes % 40}/m${nodes}\0`) === "OK\0") nodes++;
  assertEquals(nodes > 900 && nodes < 1000, true, String(nodes));
  let watches = 0;
  while (watches < 200 && c.send(T.WATCH, `data\0t${watches}\0`)[0].type === T.WATCH) watches++;
  assertEquals(watches, 128);
  const t = Number(c.ask(T.TRANSACTION_START, "\0").slice(0, -1));
  let touched = 0;
  while (touched < 3000 && c.ask(T.READ, `data/x${touched}\0`, t) === "!ENOENT") touched++;
  assertEquals(touched, 1024);
});

Deno.test("xenstore answers in steps, each with its event", () => {
  const c = new Client(), { g } = c, clock = g.host.clock;
  g.place(0, 0, 0x80);
  g.put(RING, T.READ, 1, 0, 6);
  g.text(RING + 16, "domid\0");
  g.put(REQ_PROD, 22);
  g.call(HC.evtchn, 4, g.put(0x6000, 1));
  const steps: number[][] = [];
  while (clock.nextNs() < Infinity) {
    g.mem.write8(0x80800, 0);
    g.advance(clock.nextNs() - clock.now());
    steps.push([clock.now(), g.mem.read8(0x80800) >> 1, ...g.get(RING + 2048, 1), ...g.get(RSP_PROD, 1)]);
  }
  // Header taken, path taken, header sent, value sent.
  assertEquals(steps, [[500, 1, 16, 0], [512, 1, 22, 0], [524, 1, 22, 16], [536, 1, 22, 17]]);
});

Deno.test("xenstore ignores a guest that breaks the protocol", () => {
  for (const words of [[0, 2000], [0xffffffff, 0]]) {
    const c = new Client();
    c.g.put(RING + 2048, ...words);
    if (words[0] === 0) c.kick();
    else {
      // A message that says it is too long.
      c.g.put(RING + 2048, 0, 16);
      c.g.put(RING, 2, 1, 0, 5000);
      c.kick();
    }
    c.g.put(RING + 2048, 0, 0, 0, 0);
    c.g.put(RING, T.READ, 1, 0, 6);
    c.g.text(RING + 16, "domid\0");
    c.g.put(RING + 2052, 22);
    c.kick();
    assertEquals(c.g.mem.read32(RSP_PROD), 0);
  }
});
