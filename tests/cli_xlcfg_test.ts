import { assert, assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../cli/exit_code.ts";
import { type CfgValue, parseWordValue, parseXlCfg } from "../cli/xlcfg.ts";

/** Keys and values in a shape that is easy to compare. */
function plain(text: string): [string, unknown][] {
  const value = (v: CfgValue): unknown => v.kind === "list" ? v.items.map(value) : v.text;
  return parseXlCfg("t.cfg", text).map((e) => [e.key, value(e.value)]);
}

Deno.test("xl.cfg parser reads strings, numbers, lists and comments as xl does", () => {
  assertEquals(
    plain(`# a guest
name = "demo" # trailing
type='pvh'
memory = 256; vcpus=0x2
extra = "console=hvc0 a=\\"b\\" \\x41\\101\\n"
vif = [ "mac=00:16:3e:00:00:01", 'bridge=x' ]
disk = [
  "a", # first
  [ 1, 2 ],
]
empty = []
long = \\
  7
`),
    [
      ["name", "demo"],
      ["type", "pvh"],
      ["memory", "256"],
      ["vcpus", "0x2"],
      ["extra", 'console=hvc0 a="b" AA\n'],
      ["vif", ["mac=00:16:3e:00:00:01", "bridge=x"]],
      ["disk", ["a", ["1", "2"]]],
      ["empty", []],
      ["long", "7"],
    ],
  );
});

Deno.test("xl.cfg parser keeps both assignments of a key, with their lines", () => {
  const entries = parseXlCfg("t.cfg", "a=1\n\na=2");
  assertEquals(entries.map((e) => e.line), [1, 3]);
});

Deno.test("xl.cfg parser reads files with Windows line ends and a byte order mark", () => {
  assertEquals(plain("\ufeffa = 1\r\nb = 'x'\r\n"), [["a", "1"], ["b", "x"]]);
});

Deno.test("xl.cfg parser names file and line of what it cannot read", () => {
  const bad: [string, string][] = [
    ["a", 'line 1: expected "=", found the end'],
    ["a = ", "line 1: expected a quoted string, a number or a list, found the end"],
    ["x=1\na = hello", 'line 2: expected a quoted string, a number or a list, found "h"'],
    ['a = "open', "line 1: a string without its closing quote"],
    ['a = "open\n"', "line 1: a string without its closing quote"],
    ["a = [1 2]", 'line 1: expected "," or "]", found "2"'],
    ["a = [1,", "line 1: expected a quoted string"],
    ["a = 1 b = 2", 'line 1: expected the end of the line, found "b"'],
    ["= 1", "line 1: expected a key"],
    ['a = "\\q"', "line 1: an unknown escape \\q"],
    ["a = [[[[[1]]]]]", "lists nested more than 4 deep"],
    [`${"k".repeat(65)} = 1`, "a key longer than 64 characters"],
    ["a = 12cm", "line 1: expected a quoted string, a number or a list"],
  ];
  for (const [text, message] of bad) assertThrows(() => parseXlCfg("t.cfg", text), UsageError, message);
});

Deno.test("xl.cfg parser bounds what it reads", () => {
  assertThrows(() => parseXlCfg("t", " ".repeat((1 << 20) + 1)), UsageError, "longer than");
  assertThrows(() => parseXlCfg("t", "a=1\n".repeat(1001)), UsageError, "more than 1000 assignments");
  assertThrows(() => parseXlCfg("t", `a=[${"1,".repeat(1001)}]`), UsageError, "more than 1000 items");
});

Deno.test("xl.cfg parser gives a result or a UsageError for 20,000 random texts (seed 1)", () => {
  let state = 1;
  const random = (n: number) => {
    state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x9e3779b9 | 0;
    return (state >>> 8) % n;
  };
  const pieces = [
    "a",
    "=",
    " ",
    "\n",
    '"',
    "'",
    "[",
    "]",
    ",",
    "#",
    "\\",
    ";",
    "1",
    "0x",
    "\t",
    "é",
    "\0",
    "key = ",
    "\r",
    "{",
  ];
  let parsed = 0;
  for (let i = 0; i < 20_000; i++) {
    const text = Array.from({ length: random(24) }, () => pieces[random(pieces.length)]).join("");
    try {
      parseXlCfg("t", text);
      parsed++;
    } catch (error) {
      assert(error instanceof UsageError, `seed 1, text ${JSON.stringify(text)}: ${error}`);
      assert(!error.message.includes("\n"), JSON.stringify(text));
    }
  }
  assert(parsed > 1000 && parsed < 19_000, `${parsed} texts were accepted`);
});

Deno.test("command-line values are the text itself unless quoted or listed", () => {
  assertEquals(parseWordValue("k", "console=ttyS0 a b"), {
    kind: "text",
    text: "console=ttyS0 a b",
    number: false,
  });
  assertEquals(parseWordValue("k", "0x10"), { kind: "text", text: "0x10", number: true });
  assertEquals(parseWordValue("k", '"a b"'), { kind: "text", text: "a b", number: false });
  assertEquals(parseWordValue("k", "['a']"), {
    kind: "list",
    items: [{ kind: "text", text: "a", number: false }],
  });
});
