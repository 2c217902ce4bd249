/**
 * The manifest: what a bundle is, what is in it, and, once it is closed, how the run ended.
 *
 * @module
 */
import project from "../deno.json" with { type: "json" };
import type { MachineConfig } from "../core/config.ts";
import type { Outcome } from "../core/outcome.ts";
import { crc32c } from "./crc32c.ts";
import { TraceError } from "./errors.ts";
import { FORMAT_VERSION, TABLES } from "./schema.ts";

/** File name of the manifest. */
export const MANIFEST_FILE = "manifest.json";
/** Most bytes a manifest may have. */
export const MANIFEST_BYTES_MAX = 1024 * 1024;

/** A guest image that is inside. */
export interface ImageEntry {
  role: string;
  name: string;
  bytes: number;
  /** Lower-case hexadecimal. */
  sha256: string;
}

/** What a table's file holds when the bundle is closed. */
export interface TableEntry {
  bytes: number;
  blocks: number;
  rows: number;
}

/** The closing record. */
export interface Closing {
  outcome: Outcome;
  icount: number;
  timeNs: number;
  exits: number;
  hypercalls: number;
  inputs: number;
  /** Hash of the final machine state, lower-case hexadecimal; see `replay/state_hash.ts`. */
  stateHash: string;
  tables: Record<string, TableEntry>;
  seals: { bytes: number; crc32c: number };
}

/** The manifest's contents. */
export interface Manifest {
  format: "retrovisor-trace";
  version: number;
  /** Version of the program that wrote it. */
  retrovisor: string;
  config: MachineConfig;
  /** CPUID leaves the guest was given, as the machine's CPUID policy describes them; null when not stated. */
  cpuid: unknown;
  /** What people should know of where the recording comes from; left out: it is what it seems to be. */
  label?: string;
  images: ImageEntry[];
  tables: string[];
  /** Null while recording, and for ever when the recording was cut. */
  closing: Closing | null;
}

/** What the recording side says at the start. */
export function newManifest(
  config: MachineConfig,
  images: ImageEntry[],
  cpuid: unknown = null,
  label?: string,
): Manifest {
  return {
    format: "retrovisor-trace",
    version: FORMAT_VERSION,
    retrovisor: project.version,
    config,
    cpuid,
    ...(label === undefined ? {} : { label }),
    images,
    tables: TABLES.map((t) => t.name),
    closing: null,
  };
}

const SEAL_FIELD = '  "crc32c": "', TAIL = '"\n}\n';

/** Encodes a manifest as JSON whose last member is the CRC-32C of all bytes before that member's value. */
export function encodeManifest(m: Manifest): Uint8Array {
  const json = JSON.stringify(m, null, 2);
  const covered = new TextEncoder().encode(`${json.slice(0, -2)},\n${SEAL_FIELD}`);
  return new TextEncoder().encode(new TextDecoder().decode(covered) + hex32(crc32c(covered)) + TAIL);
}

function hex32(n: number): string {
  return n.toString(16).padStart(8, "0");
}

/** The manifest is one block, sealed as a whole. */
function bad(what: string, offset = 0): TraceError {
  return new TraceError(what, { table: "manifest", batch: 0, offset });
}

/** Decodes a manifest. @throws TraceError when it is damaged, not a manifest, or of a newer version */
export function decodeManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > MANIFEST_BYTES_MAX) throw bad("The manifest is larger than any manifest is");
  const crcAt = bytes.length - TAIL.length - 8;
  if (crcAt < SEAL_FIELD.length) throw bad("The manifest is cut", bytes.length);
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const expected = hex32(crc32c(bytes.subarray(0, crcAt))) + TAIL;
  const actual = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(crcAt));
  if (actual !== expected) throw bad("The manifest's checksum does not match");
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw bad("The manifest is not JSON");
  }
  return validate(parsed);
}

type Fields = Record<string, unknown>;

function object(v: unknown, what: string): Fields {
  if (typeof v !== "object" || v === null || Array.isArray(v)) {
    throw bad(`The manifest's ${what} is not an object`);
  }
  return v as Fields;
}

function count(v: unknown, what: string): number {
  if (typeof v !== "number" || !Number.isSafeInteger(v) || v < 0) {
    throw bad(`The manifest's ${what} is not a count`);
  }
  return v;
}

function string(v: unknown, what: string): string {
  if (typeof v !== "string") throw bad(`The manifest's ${what} is not a string`);
  return v;
}

function hash(v: unknown, what: string): string {
  const s = string(v, what);
  if (!/^[0-9a-f]{64}$/.test(s)) throw bad(`The manifest's ${what} is not a SHA-256`);
  return s;
}

function list(v: unknown, what: string, max: number): unknown[] {
  if (!Array.isArray(v) || v.length > max) {
    throw bad(`The manifest's ${what} is not a list of at most ${max}`);
  }
  return v;
}

function validate(parsed: unknown): Manifest {
  const m = object(parsed, "content");
  if (m.format !== "retrovisor-trace") throw bad("The manifest is not one of a Retrovisor recording");
  const version = count(m.version, "version");
  if (version < 1 || version > FORMAT_VERSION) {
    throw bad(`The recording has format version ${version}, and this program reads up to ${FORMAT_VERSION}`);
  }
  return {
    format: "retrovisor-trace",
    version,
    retrovisor: string(m.retrovisor, "program version"),
    config: config(m.config),
    cpuid: m.cpuid ?? null,
    ...(m.label === undefined ? {} : { label: string(m.label, "label") }),
    images: list(m.images, "images", 64).map((i) => {
      const o = object(i, "image");
      return {
        role: string(o.role, "image role"),
        name: string(o.name, "image name"),
        bytes: count(o.bytes, "image size"),
        sha256: hash(o.sha256, "image hash"),
      };
    }),
    tables: list(m.tables, "tables", 64).map((t) => string(t, "table name")),
    closing: m.closing === null ? null : closing(object(m.closing, "closing record")),
  };
}

/** Checks what the machine itself cannot be expected to check: types, and bounds on what would be allocated. */
function config(v: unknown): MachineConfig {
  const c = object(v, "machine configuration");
  for (const k of ["name", "type", "cmdline", "cpuid", "intercepts", "platform"]) string(c[k], k);
  for (const k of ["memoryBytes", "vcpus", "xenCpuidBase", "startInfoFlags", "tscKhz", "quantum", "seed"]) {
    count(c[k], k);
  }
  count(c.sampleInterval, "sampleInterval");
  for (const k of ["xen", "acpi"]) {
    if (typeof c[k] !== "boolean") throw bad(`The manifest's ${k} is not true or false`);
  }
  const ns = c.nsPerInstruction;
  if (typeof ns !== "number" || !(ns > 0 && ns <= 1e9)) {
    throw bad("The manifest's nsPerInstruction is out of range");
  }
  if ((c.memoryBytes as number) > 3 * 2 ** 30) throw bad("The manifest's memoryBytes is above 3 GiB");
  if ((c.vcpus as number) > 256) throw bad("The manifest's vcpus is above 256");
  if (c.flat !== undefined) {
    const f = object(c.flat, "flat");
    count(f.load, "flat.load");
    count(f.entry, "flat.entry");
    string(f.mode, "flat.mode");
  }
  return c as unknown as MachineConfig;
}

const OUTCOMES = [
  "poweroff",
  "reboot",
  "crash",
  "suspend",
  "watchdog",
  "exit",
  "halted",
  "triple-fault",
  "instruction-limit",
  "host-stop",
  "unimplemented",
  "idle",
];

function closing(c: Fields): Closing {
  const o = object(c.outcome, "outcome");
  if (!OUTCOMES.includes(string(o.kind, "outcome kind"))) {
    throw bad("The manifest's outcome is of no known kind");
  }
  const outcome = { kind: o.kind, message: string(o.message, "outcome message") } as Outcome;
  if (o.code !== undefined) {
    if (typeof o.code !== "number") throw bad("The manifest's outcome code is not a number");
    outcome.code = o.code;
  }
  const tables: Record<string, TableEntry> = {};
  for (const [name, entry] of Object.entries(object(c.tables, "table sizes"))) {
    const e = object(entry, `table ${name}`);
    tables[name] = {
      bytes: count(e.bytes, "table size"),
      blocks: count(e.blocks, "block count"),
      rows: count(e.rows, "row count"),
    };
  }
  const seals = object(c.seals, "seals");
  return {
    outcome,
    icount: count(c.icount, "icount"),
    timeNs: count(c.timeNs, "timeNs"),
    exits: count(c.exits, "exits"),
    hypercalls: count(c.hypercalls, "hypercalls"),
    inputs: count(c.inputs, "inputs"),
    stateHash: hash(c.stateHash, "state hash"),
    tables,
    seals: { bytes: count(seals.bytes, "seal bytes"), crc32c: count(seals.crc32c, "seal checksum") },
  };
}
