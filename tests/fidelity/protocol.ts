/**
 * Test cases and results in the binary format of tests/native/hostexec.c, and the process that runs them natively.
 *
 * @module
 */
import type { Vendor } from "./vendor_rules.ts";

/** Fixed addresses of a case's memory: see the comment at the top of hostexec.c. */
export const CODE = 0x1000_0000, CODE_SIZE = 4096;
export const WINDOW = 0x2000_0000, WINDOW_SIZE = 8192, READONLY_SIZE = 4096;
/** Base of GS in 64-bit cases. */
export const GS_BASE = WINDOW + 4096;
/** Selectors while a case runs. */
export const CS64 = 0x33, CS32 = 0x23, DATA_SELECTOR = 0x2b;
/** Small segments of 16-bit cases: selectors, limits; all bases but CS's are `WINDOW`. ES is expand-down. */
export const SMALL = {
  CS: 0x07,
  DS: 0x0f,
  SS: 0x17,
  ES: 0x1f,
  DS_LIMIT: 0x2fff,
  SS_LIMIT: 0x1fff,
  ES_LIMIT: 0xfff,
} as const;
/** Width of a case's code segment. */
export type Mode = 64 | 32 | 16;
/** RFLAGS bits that a case may set at its start: AC OF DF TF SF ZF AF PF CF; IF and bit 1 are always set. */
export const FLAGS_LOADED = 0x40dd5;

/** A state and some code. */
export interface TestCase {
  mode: Mode;
  code: Uint8Array;
  /** Offset of the first code byte in the code page. */
  codeOffset: number;
  /** Seed of the window's contents (`fillWord`). */
  seed: number;
  rflags: number;
  /** RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8..R15. */
  gpr: BigUint64Array;
  /** FXSAVE64 image. */
  fx: Uint8Array;
  /** At most 8 of at most 16 bytes each, offsets into the window. */
  patches: { offset: number; bytes: Uint8Array }[];
}

/** The state after it. */
export interface TestResult {
  /** Exception that ended the case; 3 is the INT3 behind the code. 0xff: it did not end by itself. */
  vector: number;
  errorCode: number;
  faultAddress: bigint;
  rip: bigint;
  rflags: number;
  cs: number;
  gpr: BigUint64Array;
  fx: Uint8Array;
  /** Words of the window that changed, by offset. */
  changes: Map<number, bigint>;
  /** Ours only: what is not built and was needed. */
  missing?: string;
}

const CASE_SIZE = 1008, RESULT_SIZE = 688, CHANGE_SIZE = 12, MAX_CASES = 8192;
/** SIGALRM: the case ran into the time limit. */
const SIGALRM = 14;
/** Vector of a result whose case did not end. */
export const DID_NOT_END = 0xff;

/** RIP at which a case starts. */
export function firstRip(c: TestCase): number {
  return (c.mode === 16 ? 0 : CODE) + c.codeOffset;
}

/** The n-th 32-bit word of the window before patches. */
export function fillWord(seed: number, n: number): number {
  const x = Math.imul(seed ^ Math.imul(n, 0x9e37_79b9), 0x85eb_ca6b);
  return Math.imul(x ^ x >>> 15, 0xc2b2_ae35) >>> 0;
}

/** Window and read-only page of a case, patches applied. */
export function windowContents(c: TestCase): Uint8Array {
  const words = new Uint32Array((WINDOW_SIZE + READONLY_SIZE) / 4);
  for (let i = 0; i < words.length; i++) words[i] = fillWord(c.seed, i);
  const bytes = new Uint8Array(words.buffer);
  for (const p of c.patches) bytes.set(p.bytes, p.offset);
  return bytes;
}

/** Writes cases as the `struct test_case` of hostexec.c, behind their number. */
export function encodeCases(cases: readonly TestCase[]): Uint8Array {
  const out = new Uint8Array(4 + cases.length * CASE_SIZE), view = new DataView(out.buffer);
  view.setUint32(0, cases.length, true);
  cases.forEach((c, n) => {
    const at = 4 + n * CASE_SIZE;
    out[at] = c.mode;
    out[at + 1] = c.code.length;
    view.setUint16(at + 2, c.codeOffset, true);
    view.setUint32(at + 4, c.seed, true);
    view.setBigUint64(at + 8, BigInt(c.rflags), true);
    for (let i = 0; i < 16; i++) view.setBigUint64(at + 16 + i * 8, c.gpr[i], true);
    out.set(c.fx, at + 144);
    out.set(c.code, at + 656);
    c.patches.forEach((p, i) => {
      view.setUint16(at + 848 + i * 20, p.offset, true);
      view.setUint16(at + 850 + i * 20, p.bytes.length, true);
      out.set(p.bytes, at + 852 + i * 20);
    });
  });
  return out;
}

/** Reads `RESULT_SIZE` bytes; the changes follow. */
function decodeResult(bytes: Uint8Array): { result: TestResult; changed: number } {
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const gpr = new BigUint64Array(16);
  for (let i = 0; i < 16; i++) gpr[i] = v.getBigUint64(48 + i * 8, true);
  const result: TestResult = {
    vector: v.getUint32(0, true) === SIGALRM ? DID_NOT_END : v.getUint32(4, true),
    errorCode: v.getUint32(8, true),
    faultAddress: v.getBigUint64(16, true),
    rip: v.getBigUint64(24, true),
    rflags: Number(v.getBigUint64(32, true)),
    cs: v.getUint32(40, true),
    gpr,
    fx: bytes.slice(176, 688),
    changes: new Map(),
  };
  return { result, changed: v.getUint32(12, true) };
}

/** True where native test cases can run: Linux on x86-64 with gcc. */
export function hostAvailable(): boolean {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return false;
  try {
    return new Deno.Command("gcc", { args: ["--version"], stdout: "null", stderr: "null" }).outputSync()
      .success;
  } catch {
    return false;
  }
}

/** Asks hostexec for CPUID's vendor. */
function vendorOf(binary: string): Vendor {
  const { stdout } = new Deno.Command(binary, { args: ["--vendor"] }).outputSync();
  const text = new TextDecoder().decode(stdout).trim();
  if (text === "GenuineIntel" || text === "AuthenticAMD") return text;
  // Hygon's processors are AMD's design; what others do is not known, and is held against Intel's manual.
  return text === "HygonGenuine" ? "AuthenticAMD" : "GenuineIntel";
}

/** A running hostexec. */
export class HostExec {
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamBYOBReader;
  readonly #directory: string;
  /** Whose processor this is. */
  readonly vendor: Vendor;

  /** Builds hostexec with gcc in a temporary folder and starts it. */
  constructor() {
    this.#directory = Deno.makeTempDirSync({ prefix: "retrovisor-hostexec-" });
    const binary = `${this.#directory}/hostexec`;
    const source = new URL("../native/hostexec.c", import.meta.url).pathname;
    const built = new Deno.Command("gcc", {
      args: ["-O2", "-pie", "-fPIE", "-fno-stack-protector", "-o", binary, source],
      stderr: "inherit",
    }).outputSync();
    if (!built.success) throw new Error("Cannot build tests/native/hostexec.c: gcc failed");
    this.vendor = vendorOf(binary);
    this.#process = new Deno.Command(binary, { stdin: "piped", stdout: "piped" }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#reader = this.#process.stdout.getReader({ mode: "byob" });
  }

  async #read(count: number): Promise<Uint8Array> {
    if (count === 0) return new Uint8Array(0);
    let buffer = new Uint8Array(count), done = 0;
    while (done < count) {
      const got = await this.#reader.read(new Uint8Array(buffer.buffer, done, count - done));
      if (got.done || !got.value) throw new Error("Cannot read from hostexec: it ended");
      done += got.value.length;
      buffer = new Uint8Array(got.value.buffer);
    }
    return buffer;
  }

  /** Runs cases, at most 8192 at once. */
  async run(cases: readonly TestCase[]): Promise<TestResult[]> {
    if (cases.length === 0 || cases.length > MAX_CASES) {
      throw new RangeError(`Cannot run ${cases.length} cases at once`);
    }
    await this.#writer.write(encodeCases(cases));
    const results: TestResult[] = [];
    for (let i = 0; i < cases.length; i++) {
      const { result, changed } = decodeResult(await this.#read(RESULT_SIZE));
      const raw = await this.#read(changed * CHANGE_SIZE), view = new DataView(raw.buffer);
      for (let k = 0; k < changed; k++) {
        result.changes.set(
          view.getUint32(k * CHANGE_SIZE, true),
          view.getBigUint64(k * CHANGE_SIZE + 4, true),
        );
      }
      results.push(result);
    }
    return results;
  }

  /** Ends the process and removes its folder. */
  async close(): Promise<void> {
    await this.#writer.close();
    await this.#reader.cancel();
    await this.#process.status;
    await Deno.remove(this.#directory, { recursive: true });
  }
}
