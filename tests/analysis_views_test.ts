import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { CostsError, encodeCosts, parseCosts } from "../analysis/costs.ts";
import { type Row, Session } from "../analysis/session.ts";
import { identifier } from "../analysis/tables.ts";
import { loadViews } from "../analysis/views.ts";
import { reasonName } from "../core/exits.ts";
import { encodeTable, fixture, FixtureSource } from "./analysis_fixture.ts";

const session = await Session.open(fixture());

/** Rows as arrays, bigints as numbers where that loses nothing. */
function rows(sql: string): unknown[][] {
  return session.records(sql).map((r: Row) =>
    Object.values(r).map((v) => typeof v === "bigint" && v < 2n ** 53n ? Number(v) : v)
  );
}

Deno.test("every view has the columns its header documents", () => {
  for (const view of loadViews().values()) {
    const source = view.signature.includes("(")
      ? view.signature.replace(/\(.*/, "(1000)")
      : identifier(view.name);
    const { columns } = session.query(`SELECT * FROM ${source} LIMIT 1`);
    assertEquals(columns.map((c) => c.name), view.columns.map((c) => c.name), view.name);
    assertGreater(view.summary.length, 20, view.name);
  }
});

Deno.test("exit_names covers every reason the machine can give, with KVM's numbers", () => {
  const names = new Map(rows("SELECT reason_code, reason FROM exit_names").map(([c, r]) => [c, r]));
  assertEquals(names.size, 96 + 33 + 2);
  for (const [code, reason] of names) assertEquals(reason, reasonName(code as number));
  assertEquals(
    rows(
      "SELECT DISTINCT vmx_name, vmx_code FROM exit_names WHERE reason IN ('VMEXIT_MSR', 'VMEXIT_CR3_WRITE') ORDER BY 2",
    ),
    [["CR_ACCESS", 28], ["MSR_READ", 31], ["MSR_WRITE", 32]],
  );
});

Deno.test("exit_names joined on code and info1 gives one row an exit", () => {
  assertEquals(
    rows(`SELECT count(*) FROM exits e JOIN exit_names n
      ON n.reason_code = e.reason_code AND (n.info1 IS NULL OR n.info1 = e.info1)`),
    [[19]],
  );
});

Deno.test("exit_gaps measures to the next exit of the same vCPU", () => {
  assertEquals(rows("SELECT * FROM exit_gaps WHERE seq IN (0, 16, 17, 18) ORDER BY seq"), [
    [0, 0, "VMEXIT_CPUID", 8, 8],
    [16, 0, "VMEXIT_HLT", 0, 4000],
  ]);
});

Deno.test("exit_summary counts, shares and times add up", () => {
  const all = rows("SELECT * FROM exit_summary");
  assertEquals(all[0].slice(0, 3), ["VMEXIT_MSR", 4, 21.05]);
  assertEquals(all.reduce((n, r) => n + (r[1] as number), 0), 19);
  // HLT: two exits, the first followed by 4000 of the 5100 ns of vCPU 0, the second by nothing.
  assertEquals(all.find((r) => r[0] === "VMEXIT_HLT"), ["VMEXIT_HLT", 2, 10.53, 78.43, 4000, 4000, 4000]);
});

Deno.test("exit_rate counts exits and hypercalls by bucket of virtual time", () => {
  assertEquals(rows("FROM exit_rate(1000)"), [[0, 11, 2, 800], [1000, 6, 0, 200], [5000, 2, 0, 100]]);
  assertEquals(rows("SELECT count(*) FROM exit_rate(0)").length, 1);
});

Deno.test("inter_exit_hist puts distances into powers of two", () => {
  // 8 92 1 99 100x8 50 10 10 30 0: hand-sorted.
  assertEquals(rows("SELECT from_instructions, to_instructions, exits FROM inter_exit_hist"), [
    [0, 1, 1],
    [1, 2, 1],
    [8, 16, 3],
    [16, 32, 1],
    [32, 64, 1],
    [64, 128, 10],
  ]);
});

Deno.test("top_rip names the function and the offset", () => {
  assertEquals(rows("SELECT * FROM top_rip LIMIT 3"), [
    [0x1000, "probe", 0, "VMEXIT_CPUID", 2, 10.53],
    [0x1010, "probe", 0x10, "VMEXIT_IOIO", 2, 10.53],
    [0x1034, "setup", 0x14, "VMEXIT_MSR", 2, 10.53],
  ]);
});

Deno.test("exit_functions leaves gaps null and takes a symbol without size to the end", () => {
  assertEquals(
    rows("SELECT seq, function, function_offset FROM exit_functions WHERE seq IN (4, 16, 17) ORDER BY seq"),
    [
      [4, "setup", 0],
      [16, null, null],
      [17, "_high", 0x1000000],
    ],
  );
});

Deno.test("top_function counts samples and exits by function", () => {
  assertEquals(rows("SELECT * FROM top_function"), [
    ["probe", "kernel", 2, 50, 4, 21.05],
    ["main", "kernel", 1, 25, 8, 42.11],
    [null, null, 1, 25, 2, 10.53],
    ["setup", "kernel", 0, 0, 4, 21.05],
    ["_high", "kernel", 0, 0, 1, 5.26],
  ]);
});

Deno.test("hot_rip counts samples by address, most frequent first", () => {
  assertEquals(rows("SELECT * FROM hot_rip"), [
    [0x1004, "probe", 4, 0, 1, 25],
    [0x1008, "probe", 8, 0, 1, 25],
    [0x1050, null, null, 0, 1, 25],
    [0x2004, "main", 4, 0, 1, 25],
  ]);
});

Deno.test("function_exits and function_hypercalls attribute by calling function", () => {
  assertEquals(rows("SELECT * FROM function_exits WHERE function = 'probe'"), [
    ["probe", "VMEXIT_CPUID", 2],
    ["probe", "VMEXIT_IOIO", 2],
  ]);
  assertEquals(rows("SELECT * FROM function_hypercalls"), [
    ["main", "console_io", "write", 2],
    ["main", "hvm_op", "get_param", 1],
    ["main", "multicall", null, 1],
  ]);
});

Deno.test("hypercall_mix and hypercall_errors count by sub-operation", () => {
  assertEquals(rows("SELECT * FROM hypercall_mix"), [
    [18, "console_io", 0, "write", 2, 50, 0, 1],
    [13, "multicall", null, null, 1, 25, 0, 0],
    [34, "hvm_op", 1, "get_param", 1, 25, 1, 1],
  ]);
  assertEquals(rows("SELECT * FROM hypercall_errors"), [["hvm_op", "get_param", "EINVAL", 1, 800]]);
});

Deno.test("kvm_exit gives every exit with its code", () => {
  assertEquals(rows("SELECT * FROM kvm_exit WHERE seq = 7"), [[7, 600, 0, 0x7c, 0x1034, 2, 0, null, 13, 0]]);
});

Deno.test("kvm_pio decodes EXITINFO1, io_ports prints xenalyze's lines", () => {
  assertEquals(rows("SELECT * FROM kvm_pio ORDER BY seq"), [
    [2, 200, 0, 0, 0x42, 1, 1, null, 0xab],
    [3, 201, 0, 0, 0x42, 1, 1, null, 0xac],
    [4, 300, 0, 1, 0x3f8, 1, 1, 7, 0x41],
  ]);
  assertEquals(rows("SELECT * FROM io_ports"), [
    [0x42, "r", "42:[r] 2", 2, 2, 2],
    [0x3f8, "w", "3f8:[w] 1", 1, 1, 1],
  ]);
});

Deno.test("kvm_mmio, mmio_pages and kvm_page_fault read nested faults", () => {
  assertEquals(rows("SELECT * FROM kvm_mmio ORDER BY seq"), [
    [10, 900, 0, 2, 4, 0xfee000b0, 0],
    [11, 1000, 0, 1, 4, 0xfed00010, 9],
  ]);
  assertEquals(rows("SELECT * FROM mmio_pages"), [[0xfed00000, 1, 0, 1], [0xfee00000, 0, 1, 1]]);
  assertEquals(rows("SELECT * FROM kvm_page_fault ORDER BY seq"), [
    [10, 900, 0, 0x2004, 0xfee000b0, 2, true],
    [11, 1000, 0, 0x2008, 0xfed00010, 0, true],
    [15, 1170, 0, 0x2014, 0xdead0000, 2, false],
  ]);
});

Deno.test("kvm_msr and msrs tell reads, writes and exceptions apart", () => {
  assertEquals(rows("SELECT * FROM kvm_msr ORDER BY seq"), [
    [5, 400, 0, 1, 0x40000000, 0x5000, 0],
    [6, 500, 0, 0, 0xc0000080, 0xd01, 0],
    [7, 600, 0, 0, 0x1234, null, 1],
    [17, 1200, 0, 1, 0x80b, 0, 0],
  ]);
  assertEquals(rows("SELECT * FROM msrs"), [
    [0x80b, "x2APIC EOI", 0, 1, 0, 1],
    [0x1234, null, 1, 0, 1, 1],
    [0x40000000, "Xen hypercall page", 0, 1, 0, 1],
    [0xc0000080, "EFER", 1, 0, 0, 1],
  ]);
});

Deno.test("kvm_cpuid splits the answers, cpuid_leaves counts leaves", () => {
  assertEquals(rows("SELECT * FROM kvm_cpuid ORDER BY seq"), [
    [0, 100, 0, 0x40000000, 0, 5, 0x6e565856, 0, 0x4d4d],
    [1, 108, 0, 1, 0, 7, 0, 1, 2],
  ]);
  assertEquals(rows("SELECT * FROM cpuid_leaves"), [
    [1, null, "basic", 1, 108],
    [0x40000000, null, "hypervisor", 1, 100],
  ]);
});

Deno.test("kvm_cr and kvm_dr take register and direction from the reason", () => {
  assertEquals(rows("SELECT * FROM kvm_cr ORDER BY seq"), [[12, 1100, 0, 1, 4, 0x20], [
    13,
    1150,
    0,
    0,
    0,
    0x11,
  ]]);
  assertEquals(rows("SELECT * FROM kvm_dr"), [[14, 1160, 0, 0, 7, 0x400]]);
});

Deno.test("kvm_hypercall leaves multicall entries out, kvm_xen_hypercall has the caller's CPL", () => {
  assertEquals(rows("SELECT nr FROM kvm_hypercall ORDER BY seq"), [[18], [13]]);
  assertEquals(rows("SELECT seq, cpl, nr, a0, a1, a2, a5 FROM kvm_xen_hypercall ORDER BY seq, nr LIMIT 2"), [
    [8, 0, 18, 0, 5, 0x8000, null],
    [9, 3, 13, 0x9000, 2, null, null],
  ]);
});

Deno.test("interrupt views count by vector and measure latency in instructions", () => {
  assertEquals(rows("SELECT * FROM interrupt_mix"), [[0xf3, "evtchn", 3, 2, 1200], [
    0x20,
    "pic",
    null,
    1,
    1260,
  ]]);
  assertEquals(rows("SELECT * FROM irq_latency"), [
    [0xf3, "evtchn", 2, 0, 20, 0, 40, 40],
    [0x20, "pic", 1, 10, 10, 10, 10, 10],
  ]);
  assertEquals(rows("SELECT * FROM kvm_inj_virq ORDER BY icount"), [[1200, 0, 0xf3], [1250, 0, 0xf3], [
    1260,
    1,
    0x20,
  ]]);
});

Deno.test("kvm_inj_exception gives exceptions only", () => {
  assertEquals(rows("SELECT * FROM kvm_inj_exception ORDER BY seq"), [
    [7, 600, 0, 13, 1, 0],
    [15, 1170, 0, 14, 1, 2],
  ]);
});

Deno.test("kvm_apic joins MMIO and x2APIC accesses, kvm_eoi finds both ends of interrupt", () => {
  assertEquals(rows("SELECT * FROM kvm_apic"), [[10, 900, 0, 1, 0xb0, 0], [17, 1200, 0, 1, 0xb0, 0]]);
  assertEquals(rows("SELECT * FROM kvm_eoi"), [[10, 900, 0], [17, 1200, 0]]);
});

Deno.test("vcpu_state has a row a vCPU", () => {
  assertEquals(rows("SELECT * FROM vcpu_state"), [
    ["d1v0", 18, 2, 2, 1, 4000, 100, 1200, "long", 5.56],
    ["d1v1", 1, 0, 1, 1, 0, 1300, 1300, "long", 0],
  ]);
});

Deno.test("console_text joins what each device printed", () => {
  assertEquals(rows("SELECT device, bytes, text FROM console_text"), [["xen", 6, "hello\n"], [
    "uart0",
    1,
    "A",
  ]]);
});

Deno.test("page_faults counts by page, access and function", () => {
  assertEquals(rows("SELECT * FROM page_faults"), [
    ["guest", 0xdead0000, "write", false, "main", 1, 1170],
    ["nested", 0xfed00000, "read", false, "main", 1, 1000],
    ["nested", 0xfee00000, "write", false, "main", 1, 900],
  ]);
});

Deno.test("stacks folds callers over the exit's own function and adds up to all exits", () => {
  // The sample at icount 100 was taken at 0x1004, no exit's address: no exit has a caller here.
  assertEquals(rows("SELECT * FROM stacks LIMIT 2"), [
    [0, "setup", 1, "VMEXIT_MSR", 3],
    [0, "main", 1, "VMEXIT_NPF", 2],
  ]);
  assertEquals(rows("SELECT sum(exits)::INTEGER FROM stacks"), [[19]]);
});

Deno.test("stacks has the callers of exits whose stacks were sampled, without breaking on a semicolon", async () => {
  const source = fixture();
  const symbols = [
    { start: 0x1000, size: 0x40, name: "leaf", module: "k", source: "elf" },
    { start: 0x2000, size: 0x10, name: "a;b", module: "k", source: "elf" },
    { start: 0x3000, size: 0x10, name: "root", module: "k", source: "elf" },
  ];
  const samples = [{ icount: 100, vcpu: 0, rip: 0x1000, cr3: 0, cpl: 0, stack: [0x2010n, 0x3008n, 0x9000n] }];
  const content = {
    ...source.content,
    symbols: [encodeTable("symbols", symbols)],
    samples: [encodeTable("samples", samples)],
  };
  const own = await Session.open(new FixtureSource(content));
  assertEquals(own.records("SELECT stack, depth, exits FROM stacks WHERE depth > 1"), [
    { stack: "(unknown);root;a:b;leaf", depth: 4n, exits: 1n },
  ]);
  own.close();
});

Deno.test("cost prices every exit by its own figure or the preset's default, and says where figures are from", () => {
  assertEquals(
    rows(
      "SELECT reason, exits, cycles_each, cycles FROM cost WHERE preset = 'sandybridge-kvm' AND exits > 1 LIMIT 4",
    ),
    [
      ["VMEXIT_MSR", 4, 784, 3136],
      ["VMEXIT_VMMCALL", 2, 1300, 2600],
      ["VMEXIT_IOIO", 3, 784, 2352],
      ["VMEXIT_CPUID", 2, 784, 1568],
    ],
  );
  assertEquals(
    rows(
      "SELECT preset FROM cost GROUP BY preset HAVING sum(exits) <> 19 OR abs(sum(cycles_pct) - 100) > 0.1",
    ),
    [],
  );
  assertEquals(rows("SELECT count(*) FROM exit_costs WHERE length(source) < 20 OR cycles IS NULL"), [[0]]);
});

Deno.test("cost takes prices from a file, which replace a preset of the same name", async () => {
  const costs = parseCosts(
    "mine.toml",
    'k8-xen = { source = "measured", default = 10, VMEXIT_CPUID = 7 }\n[mine]\nsource = "also"\ndefault = 1',
  );
  const source = fixture();
  const own = await Session.open(
    new FixtureSource({ ...source.content, given_costs: [encodeCosts(costs)] }),
  );
  assertEquals(
    own.records(
      "SELECT preset, sum(cycles)::INTEGER AS n FROM cost WHERE preset IN ('k8-xen', 'mine') GROUP BY ALL ORDER BY 1",
    ),
    [{ preset: "k8-xen", n: 17 * 10 + 2 * 7 }, { preset: "mine", n: 19 }],
  );
  own.close();
  for (
    const [text, why] of [
      ["x = 1", "no table of prices"],
      ["[x]\ndefault = 1", "does not say where"],
      ['[x]\nsource = "s"\nVMEXIT_HLT = 3', "no default"],
      ['[x]\nsource = "s"\ndefault = -1', "number of cycles"],
      ['[x]\nsource = "s"\ndefault = 1\n"a b" = 1', "no exit reason"],
      ["[", "not TOML"],
    ]
  ) assertThrows(() => parseCosts("f", text), CostsError, why.replace("no table", "not a table"));
});

Deno.test("views over an empty recording are empty, not errors", async () => {
  const empty = await Session.open({ tables: [], segments: () => [] });
  for (const view of loadViews().values()) {
    if (view.name === "exit_names" || view.name === "exit_costs") continue;
    const source = view.signature.includes("(") ? `${view.name}(1000)` : view.name;
    assertEquals(empty.records(`FROM ${source}`), [], view.name);
  }
  assert(empty.records("FROM exit_names").length > 100);
  empty.close();
});
