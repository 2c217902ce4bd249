import { assertEquals, assertStringIncludes } from "@std/assert";
import { Guest, HC, HIGH_BASE } from "./xen_fixture.ts";

Deno.test("xen CPUID leaves say XenVMMXenVMM 4.17 at the configured base", () => {
  for (const base of [0x40000000, 0x40000100]) {
    const { xen } = new Guest({ xenCpuidBase: base, vcpus: 2 });
    const text = (n: number) => String.fromCharCode(n & 255, n >> 8 & 255, n >> 16 & 255, n >>> 24);
    const top = xen.cpuid(base, 0, 0)!;
    assertEquals([top.eax, text(top.ebx) + text(top.ecx) + text(top.edx)], [base + 5, "XenVMMXenVMM"]);
    assertEquals(xen.cpuid(base + 1, 0, 0)!.eax, 0x00040011);
    const msr = base === 0x40000000 ? 0x40000000 : 0x40000200;
    assertEquals([xen.cpuid(base + 2, 0, 0)!.eax, xen.cpuid(base + 2, 0, 0)!.ebx >>> 0], [1, msr]);
    // IOMMU mappings, vCPU id, domid, upcall vector.
    assertEquals(xen.cpuid(base + 4, 0, 1), { eax: 0x5c, ebx: 1, ecx: 1, edx: 0 });
    assertEquals(xen.cpuid(base + 6, 0, 0), { eax: 0, ebx: 0, ecx: 0, edx: 0 });
  }
  assertEquals(new Guest().xen.cpuid(0x80000000, 0, 0), null);
});

Deno.test("xen fills the hypercall page with stubs when the MSR is written", () => {
  const g = new Guest();
  assertEquals(g.xen.writeHypercallMsr(0x5001, 0, true), false);
  assertEquals(g.xen.writeHypercallMsr(0xd0000000, 0, true), false);
  assertEquals(g.xen.writeHypercallMsr(0x5000, 0, true), true);
  assertEquals([...g.mem.read(0x5000 + 29 * 32, 9)], [0xb8, 29, 0, 0, 0, 0x0f, 0x01, 0xd9, 0xc3]);
  assertEquals([...g.mem.read(0x5000 + 23 * 32, 2)], [0x0f, 0x0b]);
  assertEquals(g.mem.read8(0x5fe0), 0xb8);
});

Deno.test("xen refuses unknown hypercalls with ENOSYS and user mode with EPERM", () => {
  const g = new Guest();
  for (const is64 of [true, false]) {
    g.host.vcpus[0].is64 = is64;
    g.host.vcpus[0].cpl = 0;
    for (const nr of [0, 1, 11, 23, 28, 37, 38, 39, 43, 48, 55, 63, 0x7fffffff]) {
      assertEquals(g.call(nr), -38);
    }
    g.host.vcpus[0].cpl = 3;
    assertEquals(g.call(HC.version, 0), -1);
  }
  g.host.vcpus[0].cpl = 0;
  g.host.vcpus[0].is64 = true;
  assertEquals(g.call(HC.version, 0), 0x40011);
  // In 64-bit mode all of RAX counts, and the result is sign-extended.
  g.host.vcpus[0].setReg(0, HC.version, 1);
  g.xen.hypercall(g.host.vcpus[0]);
  assertEquals([g.host.vcpus[0].reg(0), g.host.vcpus[0].regHi(0)], [0xffffffda, 0xffffffff]);
});

Deno.test("xen refuses control hypercalls as it does an unprivileged domain", () => {
  const g = new Guest();
  const at = (...w: number[]) => g.put(0x2000, ...w);
  const wild = 0x7000_0000;
  assertEquals(g.call(35, wild), -14);
  assertEquals(g.call(35, at(3, 0x14)), -13);
  assertEquals(g.call(35, at(3, 0x15)), -1);
  assertEquals(g.call(36, at(3, 0x15, 1)), -1);
  assertEquals(g.call(36, at(3, 0x15, 77)), -3);
  assertEquals(g.call(7, at(3, 0x03000001)), -1);
  assertEquals([g.call(27), g.call(40), g.call(42), g.call(33, 12)], [-38, -95, -1, -38]);
  assertEquals([g.call(41, 0x7ff0), g.call(41, 0), g.call(41, 9)], [-1, -22, -3]);
  assertEquals([g.call(26, 0, 1, 0, 0x7ff0), g.call(26, 0, 1, 0, 0), g.call(26, 0, 1, 0, 1)], [-22, -1, -3]);
  assertEquals([g.call(HC.assist, 0, 5), g.call(HC.assist, 0, 3), g.call(HC.assist, 2, 5)], [0, -22, -38]);
});

Deno.test("xen console_io prints, and goes to the log once the guest knows the ring", () => {
  const g = new Guest();
  const text = g.text(0x3000, "hello\n");
  assertEquals(g.call(HC.console, 0, 6, text), 0);
  assertEquals(g.call(HC.console, 0, 6, HIGH_BASE + text), 0);
  assertEquals(g.call(HC.console, 0, 6, 0x7000_0000), -14);
  assertEquals(g.call(HC.console, 1, 6, text), -1);
  assertEquals(g.call(HC.hvm, 1, g.put(0x4000, 0x7ff0, 17, 0, 0)), 0);
  assertEquals(g.get(0x4008, 2), [0xfefff, 0]);
  g.call(HC.console, 0, 6, text);
  assertEquals(g.host.output, [["xen", "hello\n"], ["xen", "hello\n"], ["xen-log", "hello\n"]]);
  const first = new Guest({ startInfoFlags: 2 });
  first.xen.receive(new TextEncoder().encode("typed"));
  assertEquals([first.call(HC.console, 1, 3, 0x3000), first.call(HC.console, 1, 9, 0x3003)], [3, 2]);
  assertEquals(new TextDecoder().decode(first.mem.read(0x3000, 5)), "typed");
});

Deno.test("xen HVM parameters follow Xen's access rules", () => {
  const g = new Guest();
  const get = (index: number, domid = 0x7ff0) => g.call(HC.hvm, 1, g.put(0x4000, domid, index, 9, 9));
  const set = (index: number, lo: number, hi = 0) => g.call(HC.hvm, 0, g.put(0x4000, 0x7ff0, index, lo, hi));
  assertEquals([get(1), ...g.get(0x4008, 2)], [0, 0xfeffc, 0]);
  assertEquals([get(2), ...g.get(0x4008, 2)], [0, 1, 0]);
  assertEquals([get(18), ...g.get(0x4008, 2)], [0, 2, 0]);
  // IDENT_PT is not for the guest, DM_DOMAIN is gone, 39 does not exist.
  assertEquals([get(12), get(13), get(39), get(0, 77)], [-1, -22, -22, -3]);
  assertEquals([set(1, 5), set(20, 0), set(36, 4), set(36, 5), set(18, 7)], [-1, -22, 0, -22, 0]);
  assertEquals([get(18), ...g.get(0x4008, 1)], [0, 7]);
  assertEquals(g.host.outcome, null);
  assertEquals(set(37, 0x1000, 1), -22);
  assertEquals(g.host.outcome?.kind, "crash");
});

Deno.test("xen_version answers each sub-operation", () => {
  const g = new Guest();
  assertEquals(g.call(HC.version, 6, g.put(0x4000, 0, 0)), 0);
  // writable page tables, translated, callback vector, safe pvclock, vnode op, not direct-mapped.
  const bits = [0, 2, 8, 9, 13, 16].reduce((m, b) => m | 1 << b, 0);
  assertEquals(g.get(0x4004, 1), [bits]);
  assertEquals([g.call(HC.version, 6, g.put(0x4000, 1)), g.call(HC.version, 7), g.call(HC.version, 7, 1)], [
    -22,
    4096,
    -22,
  ]);
  assertEquals([g.call(HC.version, 10), g.call(HC.version, 11), g.call(HC.version, 1, 0x7000_0000)], [
    -1,
    -38,
    -14,
  ]);
  assertEquals(g.call(HC.version, 3, 0x4000), 0);
  assertStringIncludes(new TextDecoder().decode(g.mem.read(0x4000, 64)), "hvm-3.0-x86_64");
  assertEquals(g.call(HC.version, 9, 0x4000), 0);
  assertStringIncludes(new TextDecoder().decode(g.mem.read(0x4000, 9)), "<denied>\0");
});

Deno.test("xen shutdown ends the run with the guest's reason", () => {
  const kinds = [0, 1, 2, 3, 4, 77].map((reason) => {
    const g = new Guest();
    assertEquals(g.call(HC.sched, 2, g.put(0x4000, reason)), 0);
    return g.host.outcome?.kind;
  });
  assertEquals(kinds, ["poweroff", "reboot", "suspend", "crash", "watchdog", "crash"]);
  const g = new Guest();
  assertEquals([g.call(HC.sched, 5, g.put(0x4000, 3)), g.call(HC.sched, 2, g.put(0x4000, 0))], [0, 0]);
  assertEquals(g.host.outcome?.kind, "crash");
});

Deno.test("xen takes the last HLT with interrupts off for power-off", () => {
  const g = new Guest({ vcpus: 2 });
  g.xen.started(1);
  g.xen.haltedForGood(0);
  assertEquals([g.host.outcome, g.host.log, g.call(HC.vcpu, 3, 0)], [null, ["down 0"], 0]);
  g.xen.haltedForGood(1);
  assertEquals(g.host.outcome?.kind, "poweroff");
});

Deno.test("xen watchdog ends the run when it is not set again", () => {
  const g = new Guest();
  assertEquals(g.call(HC.sched, 6, g.put(0x4000, 0, 2)), 1);
  assertEquals(g.call(HC.sched, 6, g.put(0x4000, 2, 2)), -22);
  g.advance(1.9e9);
  assertEquals([g.call(HC.sched, 6, g.put(0x4000, 1, 2)), g.host.outcome], [0, null]);
  g.advance(1.9e9);
  assertEquals(g.host.outcome, null);
  g.advance(2e8);
  assertEquals(g.host.outcome?.kind, "watchdog");
});

Deno.test("xen multicall runs each entry, stores results, and refuses to nest", () => {
  for (const is64 of [true, false]) {
    const g = new Guest();
    g.host.vcpus[0].is64 = is64;
    g.host.observe();
    g.host.exitSeq = 42;
    g.text(0x3000, "multi");
    const size = is64 ? 64 : 32;
    const entry = (i: number, op: number, ...args: number[]) => {
      const words = is64 ? [op, 0, 0, 0, ...args.flatMap((a) => [a, 0])] : [op, 0, ...args];
      g.put(0x4000 + i * size, ...words);
    };
    entry(0, HC.version, 0);
    entry(1, HC.console, 0, 5, 0x3000);
    entry(2, HC.multicall, 0x4000, 1);
    assertEquals(g.call(HC.multicall, 0x4000, 3), 0);
    const results = [0, 1, 2].map((i) => g.get(0x4000 + i * size + (is64 ? 8 : 4), 1)[0] | 0);
    assertEquals(results, [0x40011, 0, -22]);
    const rows = g.host.hypercalls.map((h) => [h.seq, h.parentSeq, h.name, h.subopName, h.errnoName]);
    assertEquals(rows, [
      [42, 42, "xen_version", "version", null],
      [42, 42, "console_io", "write", null],
      [42, 42, "multicall", null, "EINVAL"],
      [42, -1, "multicall", null, null],
    ]);
    assertEquals(new TextDecoder().decode(g.host.hypercalls[1].buffer!), "multi");
    assertEquals(g.xen.hypercalls, 4);
    assertEquals(g.call(HC.multicall, 0x7000_0000, 1), -14);
    assertEquals(g.call(HC.multicall, 0x4000, -1), -7);
  }
});

Deno.test("xen hypercall events carry arguments, results and the bytes exchanged", () => {
  const g = new Guest();
  g.host.observe();
  g.call(HC.hvm, 1, g.put(0x4000, 0x7ff0, 17, 0, 0));
  const [h] = g.host.hypercalls;
  assertEquals([h.nr, h.name, h.subop, h.subopName, h.args, h.result], [34, "hvm_op", 1, "get_param", [
    1n,
    0x4000n,
  ], 0n]);
  // The structure as the call left it.
  assertEquals(new DataView(h.buffer!.buffer).getUint32(8, true), 0xfefff);
  g.call(HC.memory, 7 | 5 << 6, 0x7000_0000);
  assertEquals([g.host.hypercalls[1].subopName, g.host.hypercalls[1].errnoName], [
    "add_to_physmap",
    "EFAULT",
  ]);
});
