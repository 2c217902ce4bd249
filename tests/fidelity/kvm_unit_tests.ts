/**
 * Runs the images of kvm-unit-tests (Multiboot ELF files named `*.flat`): paging, interrupts, task switches, real mode,
 * debug registers and more, judged by the tests themselves.
 *
 * The images are built elsewhere and are no part of this repository. What they expect of QEMU's `pc-testdev` is given to
 * them here: a port that remembers, interrupt lines by port, a page of memory behind MMIO.
 *
 * @module
 */
import { DEFAULT_CONFIG, type MachineConfig } from "../../core/config.ts";
import { NoInputs } from "../../core/inputs.ts";
import { createMachine, type RetrovisorMachine } from "../../core/machine.ts";

/** QEMU's pc-testdev: storage port, interrupt lines, MMIO memory. */
const STORAGE_PORT = 0xe0, IRQ_PORTS = 0x2000, IORAM = 0xff00_0000, IORAM_BYTES = 0x1_0000;
/** Host time after which a test counts as endless, and instructions between two looks at the clock. */
const SLICE = 5e6;

/** How one image did. */
export interface KutRow {
  name: string;
  passed: number;
  /** Lines that say FAIL. */
  failures: string[];
  skipped: number;
  /** How the run ended when not by the debug exit port. */
  ending: string;
  instructions: number;
}

function addTestDevice(m: RetrovisorMachine): void {
  let stored = 0;
  m.io.claimPorts(STORAGE_PORT, STORAGE_PORT + 3, {
    read: () => stored,
    write: (_port, _size, value) => stored = value,
  });
  m.io.claimPorts(IRQ_PORTS, IRQ_PORTS + 23, {
    read: () => 0,
    write: (port, _size, value) => m.platform.setIrqLine(port - IRQ_PORTS, value !== 0),
  });
  const bytes = new Uint8Array(IORAM_BYTES), view = new DataView(bytes.buffer);
  m.io.claimMmio(IORAM, IORAM_BYTES, {
    read: (gpa, size) => {
      const at = gpa - IORAM;
      return size === 4 ? view.getUint32(at, true) : size === 2 ? view.getUint16(at, true) : bytes[at];
    },
    write: (gpa, size, value) => {
      const at = gpa - IORAM;
      if (size === 4) view.setUint32(at, value, true);
      else if (size === 2) view.setUint16(at, value, true);
      else bytes[at] = value;
    },
  });
}

/** Runs one image. */
export function runKut(name: string, image: Uint8Array, cpuid: string, maxMs: number): KutRow {
  const config: MachineConfig = {
    ...DEFAULT_CONFIG,
    name,
    type: "multiboot",
    xen: false,
    platform: "pc",
    memoryBytes: 512 << 20,
    cmdline: name,
    cpuid,
  };
  const m = createMachine(config, [{ role: "kernel", name, bytes: image }], new NoInputs());
  addTestDevice(m);
  const decoder = new TextDecoder(), end = performance.now() + maxMs;
  let text = "";
  m.observer = {
    onHypercall() {},
    onInterrupt() {},
    onInput() {},
    onConsole(_icount, _timeNs, device, bytes) {
      if (device === "uart0") text += decoder.decode(bytes, { stream: true });
    },
  };
  let why: string = "limit";
  while (why === "limit" && performance.now() < end) why = m.runUntil(m.icount + SLICE);
  const lines = text.split(/\r?\n/);
  const ending = why === "limit"
    ? "no end in sight"
    : m.outcome?.kind === "exit"
    ? ""
    : m.outcome?.kind ?? why;
  const crash = lines.find((l) => /^Unhandled exception|assert failed/.test(l)) ?? "";
  return {
    name,
    passed: lines.filter((l) => /^PASS/.test(l)).length,
    failures: lines.filter((l) => /FAIL/.test(l)).map((l) => l.replace(/^FAIL: /, "")),
    skipped: lines.filter((l) => /^SKIP/.test(l)).length,
    ending: [ending, crash].filter((s) => s).join("; "),
    instructions: m.icount,
  };
}

/** Runs every image of a folder; prints a Markdown table. Returns the exit code. */
export function kutMain(folder: string, filter: string, cpuid: string): number {
  const names = [...Deno.readDirSync(folder)].map((f) => f.name)
    .filter((n) => n.endsWith(".flat") && n.includes(filter)).sort();
  let passed = 0, failed = 0;
  console.log("| test | passed | failed | skipped | instructions | ending | first failures |");
  console.log("|---|--:|--:|--:|--:|---|---|");
  for (const file of names) {
    const row = runKut(file.replace(/\.flat$/, ""), Deno.readFileSync(`${folder}/${file}`), cpuid, 300_000);
    passed += row.passed;
    failed += row.failures.length;
    const first = row.failures.slice(0, 3).join(" / ").replaceAll("|", "\\|").slice(0, 160);
    console.log(
      `| ${row.name} | ${row.passed} | ${row.failures.length} | ${row.skipped} | ${row.instructions} | ${row.ending} | ${first} |`,
    );
  }
  console.log(`\n${names.length} images: ${passed} checks passed, ${failed} failed`);
  return failed ? 1 : 0;
}
