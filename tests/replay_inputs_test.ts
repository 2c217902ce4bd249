import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { GuestError } from "../core/config.ts";
import { LiveInputs } from "../replay/inputs.ts";
import { parseScript, ScriptRunner } from "../replay/script.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (b: Uint8Array | undefined) => new TextDecoder().decode(b);
const live = (script?: string) =>
  new LiveInputs({
    epochSeconds: () => 0x1_2345_6789,
    entropy: (n) => new Uint8Array(n).fill(7),
    unattended: script !== undefined,
    ...(script === undefined ? {} : { script: parseScript(script) }),
  });

Deno.test("live inputs answer the wall clock as 64-bit seconds, and entropy with the length asked for", () => {
  const l = live();
  assertEquals([...l.ask("rtc", "rtc", 8)], [0x89, 0x67, 0x45, 0x23, 1, 0, 0, 0]);
  assertEquals([...l.ask("entropy", "rdrand", 3)], [7, 7, 7]);
});

Deno.test("pushed input comes out in order and in bounded pieces, and the queue refuses what does not fit", () => {
  const l = live(), long = "x".repeat(600);
  assert(l.push("xen", bytes(long)));
  assert(l.push("uart0", bytes("y")));
  let got = "";
  for (let p = l.poll(0, 0); p !== null; p = l.poll(0, 0)) {
    assert(p.payload.length <= 256);
    got += `${p.target}:${text(p.payload)} `;
  }
  assertEquals(got.replaceAll("xen:", "").replaceAll(" ", ""), `${long}uart0:y`);
  assertEquals(l.push("xen", new Uint8Array(70_000)), false);
  assert(l.push("xen", new Uint8Array(60_000)));
  assertEquals(l.push("xen", new Uint8Array(10_000)), false);
});

Deno.test("wait answers when input comes, when it ends, and when its time is over", async () => {
  const l = live();
  assertEquals(await l.wait(1), true);
  const waiting = l.wait(10_000);
  l.push("xen", bytes("a"));
  assertEquals(await waiting, true);
  l.poll(0, 0);
  const ended = l.wait(10_000);
  l.end();
  assertEquals(await ended, false);
});

Deno.test("a script sends after its pattern was printed, a fixed virtual time later", () => {
  const s = new ScriptRunner(
    parseScript('# log in\nwait "login: "\nsend "root\\n"\ntarget uart0\nsend "x"\n', "xen"),
  );
  assertEquals(s.nextDue(), null);
  assertEquals(s.poll(5e6), null);
  s.observe(bytes("Debian lo"), 6_000_000);
  s.observe(bytes("gin: "), 7_000_000);
  assertEquals(s.nextDue(), { icount: 0, timeNs: 8_000_000 });
  assertEquals(s.poll(7_999_999), null);
  const sent = s.poll(8_000_000);
  assertEquals([sent?.target, text(sent?.payload)], ["xen", "root\n"]);
  assertEquals(s.poll(8_500_000), null);
  assertEquals(s.poll(9_000_000)?.target, "uart0");
  assertEquals([s.poll(1e12), s.nextDue()], [null, null]);
});

Deno.test("a script's wait sees only output since the last one, even beyond its window", () => {
  const s = new ScriptRunner(parseScript('wait "a"\nwait "a"\nsend "1"\n'));
  s.observe(bytes("a"), 0);
  assertEquals(s.nextDue(), null);
  for (let n = 0; n < 100; n++) s.observe(new Uint8Array(4096).fill(32), 1);
  s.observe(bytes("a"), 2);
  assertEquals(s.nextDue()?.timeNs, 1_000_002);
});

Deno.test("a timed statement is due at its virtual time, or at once when the guest waits", async () => {
  const l = live('at 5000000 send "a"\nat 9000000 send "b"\n');
  assertEquals(l.nextDue(), { icount: 0, timeNs: 5_000_000 });
  assertEquals(l.poll(0, 4_999_999), null);
  assertEquals(text(l.poll(0, 5_000_000)?.payload), "a");
  assertEquals(l.poll(0, 6_000_000), null);
  assertEquals(await l.wait(1), true);
  assertEquals(text(l.poll(0, 6_000_001)?.payload), "b");
  assertEquals(await l.wait(1), false);
});

Deno.test("a script that cannot be read is one sentence with its line", () => {
  for (
    const bad of ['wait "x', "send x", 'type "x"', 'at x send "y"', 'send ""', 'send "\\q"', "target a b"]
  ) {
    const e = assertThrows(() => parseScript(`# one\n${bad}\n`), GuestError);
    assertStringIncludes(e.message, "line 2");
  }
});
