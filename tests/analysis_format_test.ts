import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { formatRows, toJson } from "../analysis/format.ts";
import type { Column, Value } from "../analysis/rows.ts";
import {
  alignColumns,
  bar,
  columnPlot,
  duration,
  grouped,
  harmless,
  harmlessLines,
  jsonString,
} from "../analysis/text.ts";

const COLUMNS: Column[] = [
  { name: "icount", type: "Uint64", numeric: true },
  { name: "rip", type: "Uint64", numeric: true },
  { name: "text", type: "Utf8", numeric: false },
];
const ROWS: Value[][] = [
  [1n, 0xffff_ffff_8100_0000n, "a"],
  [18446744073709551615n, null, 'x,"y"\n\x1b[31m\u202e\u009b'],
];

function format(kind: "table" | "json" | "csv", columns = COLUMNS, rows = ROWS): string {
  return [...formatRows({ columns, rows }, kind)].join("");
}

Deno.test("table aligns, shows addresses in hexadecimal and neutralises control characters", () => {
  assertEquals(
    format("table"),
    [
      "              icount                 rip  text",
      "────────────────────  ──────────────────  ───────────────────────────",
      "                   1  0xffffffff81000000  a",
      '18446744073709551615                      x,"y"\\n\\x1b[31m\\u{202e}\\x9b',
      "",
    ].join("\n"),
  );
});

Deno.test("json keeps 64-bit integers exact and strings whole, without raw control characters", () => {
  const text = format("json");
  assertStringIncludes(text, '"icount": 18446744073709551615, "rip": null');
  assertEquals(JSON.parse(text)[1].text, ROWS[1][2]);
  // deno-lint-ignore no-control-regex
  assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/.test(text));
  assertEquals(format("json", COLUMNS, []), "[]\n");
});

Deno.test("csv quotes as RFC 4180 says and escapes other control characters", () => {
  assertEquals(
    format("csv"),
    'icount,rip,text\n1,18446744071578845184,a\n18446744073709551615,,"x,""y""\n\\x1b[31m\\u{202e}\\x9b"\n',
  );
});

Deno.test("nested values, blobs and dates have one form in json", () => {
  assertEquals(toJson([1n, null, true, "a\u0000"]), '[1, null, true, "a\\u0000"]');
  assertEquals(toJson({ a: new Uint8Array([0, 255]), b: [NaN, 1.5] }), '{"a": "00ff", "b": [null, 1.5]}');
  assertEquals(toJson(new Date(0)), '"1970-01-01T00:00:00.000Z"');
});

Deno.test("table is written as rows come, whatever their number", () => {
  let made = 0;
  function* rows(): Generator<Value[]> {
    for (;;) yield [BigInt(made++), 1n, "x"];
  }
  const lines = formatRows({ columns: COLUMNS, rows: rows() }, "table")[Symbol.iterator]();
  for (let i = 0; i < 5; i++) lines.next();
  assert(made < 1000, `${made} rows were read for 5 lines`);
});

Deno.test("harmless escapes what can control a terminal and leaves text alone", () => {
  assertEquals(harmless("héllo ✓ 😀\ttab\r\n"), "héllo ✓ 😀\\ttab\\r\\n");
  assertEquals(harmless("\u200b\ufeff\x7f\ud800"), "\\u{200b}\\u{feff}\\x7f\\u{d800}");
  assertEquals(harmlessLines("a\n\tb\x1b"), "a\n\tb\\x1b");
  assertEquals(JSON.parse(jsonString("\x1b\u202e\u2028😀")), "\x1b\u202e\u2028😀");
});

Deno.test("numbers and times are written for people", () => {
  assertEquals([grouped(0), grouped(1234567), grouped(18446744073709551615n)], [
    "0",
    "1,234,567",
    "18,446,744,073,709,551,615",
  ]);
  assertEquals([duration(5), duration(1500), duration(52_519_171), duration(2e9)], [
    "5 ns",
    "1.5 us",
    "52.5 ms",
    "2 s",
  ]);
});

Deno.test("bars and plots are in proportion, and what is there is seen", () => {
  assertEquals([bar(10, 10, 4), bar(5, 10, 4), bar(1, 10_000, 4), bar(0, 10, 4), bar(1, 0, 4)], [
    "████",
    "██",
    "▏",
    "",
    "",
  ]);
  assertEquals(columnPlot([0, 8, 16, 1], 2), ["  █ ", " ██▁"]);
  assertEquals(alignColumns([["a", "1"], ["bbb", "22"]], [false, true]), ["a     1", "bbb  22"]);
});
