/**
 * Common Trace Format 1.8 (diamon.org/ctf), for babeltrace2 and Trace Compass: a folder with `metadata` and one stream of
 * packets for each vCPU. Events are named as LTTng's KVM probes name them.
 *
 * @module
 */
import { reasonName } from "../../core/exits.ts";
import { REASON_CODES } from "../../traces/schema.ts";
import { harmless } from "../text.ts";
import type { ExportFile, ExportInput } from "./exporter.ts";

const MAGIC = 0xc1fc1fc1;
/** Bytes of events in a packet. */
const PACKET_BYTES = 1 << 18;
const HEADER_BYTES = 4 + 4 + 8 * 4 + 4;
const TEXT_BYTES_MAX = 4096;
const Event = { exit: 0, hypercall: 1, interrupt: 2, console: 3 } as const;

/** The files of the folder. */
export function* ctf(input: ExportInput): Generator<ExportFile> {
  yield { name: "metadata", pieces: [metadata(input)] };
  for (let v = 0; v < input.summary.config.vcpus; v++) {
    yield { name: `vcpu_${v}`, pieces: vcpuStream(input, v) };
  }
}

/** Text in a TSDL string literal. */
function quoted(text: string): string {
  return `"${harmless(text).replace(/[\\"]/g, "\\$&")}"`;
}

function metadata({ summary }: ExportInput): string {
  const reasons = REASON_CODES.map((code) => `"${reasonName(code)}" = ${code}`).join(", ");
  const event = (id: number, name: string, fields: readonly string[]) =>
    `event { name = "${name}"; id = ${id}; stream_id = 0; fields := struct { ${
      fields.map((f) => `${f};`).join(" ")
    } }; };`;
  return [
    "/* CTF 1.8 */",
    "typealias integer { size = 8; align = 8; signed = false; byte_order = le; } := uint8_t;",
    "typealias integer { size = 16; align = 8; signed = false; byte_order = le; } := uint16_t;",
    "typealias integer { size = 32; align = 8; signed = false; byte_order = le; } := uint32_t;",
    "typealias integer { size = 64; align = 8; signed = false; byte_order = le; } := uint64_t;",
    "typealias integer { size = 64; align = 8; signed = true; byte_order = le; } := int64_t;",
    "typealias integer { size = 64; align = 8; signed = false; byte_order = le; base = hex; } := hex64_t;",
    "trace { major = 1; minor = 8; byte_order = le; packet.header := struct { uint32_t magic; uint32_t stream_id; }; };",
    `env { tracer_name = "retrovisor"; domain = "hypervisor"; guest = ${quoted(summary.guest)}; };`,
    "clock { name = virtual; freq = 1000000000; offset = 0; };",
    "typealias integer { size = 64; align = 8; signed = false; byte_order = le; map = clock.virtual.value; } := time_t;",
    "stream { id = 0;",
    "  packet.context := struct { time_t timestamp_begin; time_t timestamp_end; uint64_t content_size; " +
    "uint64_t packet_size; uint32_t cpu_id; };",
    "  event.header := struct { uint16_t id; time_t timestamp; };",
    "};",
    event(Event.exit, "kvm_x86_exit", [
      `enum : uint32_t { ${reasons} } exit_reason`,
      "hex64_t guest_rip",
      "hex64_t info1",
      "hex64_t info2",
      "uint64_t seq",
      "uint64_t icount",
      "uint8_t cpl",
    ]),
    event(Event.hypercall, "kvm_x86_xen_hypercall", [
      "uint64_t nr",
      "string name",
      "string subop",
      "int64_t result",
      "uint64_t seq",
    ]),
    event(Event.interrupt, "kvm_x86_inj_virq", ["uint16_t irq", "string source"]),
    event(Event.console, "console", ["string device", "string text"]),
    "",
  ].join("\n");
}

/** Everything that happened on a vCPU, in order; the console is with the first. */
const EVENTS = (vcpu: number) => `
SELECT time_ns, icount, seq, 0 AS kind, reason_code::UBIGINT AS a, coalesce(rip, 0)::UBIGINT AS b,
  coalesce(info1, 0)::UBIGINT AS c, coalesce(info2, 0)::UBIGINT AS d, cpl AS e, '' AS s, '' AS t
FROM exits WHERE vcpu = ${vcpu}
UNION ALL
SELECT x.time_ns, h.icount, h.seq, 1, h.nr, 0, 0, 0, 0, h.name || chr(0) || coalesce(h.subop_name, ''), h.result::VARCHAR
FROM hypercalls h JOIN exits x ON x.seq = h.seq WHERE h.vcpu = ${vcpu}
UNION ALL
SELECT time_ns, icount, 0, 2, vector, 0, 0, 0, 0, source, '' FROM interrupts WHERE vcpu = ${vcpu}
${
  vcpu === 0
    ? "UNION ALL SELECT time_ns, icount, 0, 3, 0, 0, 0, 0, 0, device, replace(text, chr(0), ' ') FROM console"
    : ""
}
ORDER BY time_ns, icount, seq, kind`;

function* vcpuStream({ session }: ExportInput, vcpu: number): Generator<Uint8Array> {
  const packet = new Packet(vcpu);
  for (const row of session.query(EVENTS(vcpu)).rows) {
    const [time, icount, seq, kind, a, b, c, d, e, s, t] = row;
    packet.begin(Number(kind), BigInt(time as bigint));
    const wide = (v: unknown) => packet.u64(BigInt(v as bigint));
    switch (kind) {
      case Event.exit:
        packet.u32(Number(a));
        [b, c, d, seq, icount].forEach(wide);
        packet.u8(Number(e));
        break;
      case Event.hypercall: {
        const [name, subop] = String(s).split("\0");
        wide(a);
        packet.text(name);
        packet.text(subop);
        packet.u64(BigInt.asUintN(64, BigInt(String(t))));
        wide(seq);
        break;
      }
      case Event.interrupt:
        packet.u16(Number(a));
        packet.text(String(s));
        break;
      default:
        packet.text(String(s));
        packet.text(String(t));
    }
    if (packet.length >= PACKET_BYTES) yield packet.take();
  }
  // A stream is at least one packet.
  yield packet.take();
}

/** One packet that fills up: header, context, events. */
class Packet {
  #bytes = new Uint8Array(PACKET_BYTES * 2);
  #view = new DataView(this.#bytes.buffer);
  #begin: bigint | null = null;
  #end = 0n;
  length = HEADER_BYTES;

  constructor(readonly vcpu: number) {}

  /** Event header. */
  begin(id: number, timeNs: bigint): void {
    // The largest event: two texts and some integers.
    if (this.length + 2 * TEXT_BYTES_MAX + 128 > this.#bytes.length) throw new RangeError("Packet is full");
    this.#begin ??= timeNs;
    this.#end = timeNs;
    this.u16(id);
    this.u64(timeNs);
  }

  u8(v: number): void {
    this.#bytes[this.length++] = v;
  }

  u16(v: number): void {
    this.#view.setUint16(this.length, v, true);
    this.length += 2;
  }

  u32(v: number): void {
    this.#view.setUint32(this.length, v, true);
    this.length += 4;
  }

  u64(v: bigint): void {
    this.#view.setBigUint64(this.length, v, true);
    this.length += 8;
  }

  /** Text with its end, cut where it is too long. */
  text(text: string): void {
    const room = this.#bytes.subarray(this.length, this.length + TEXT_BYTES_MAX - 1);
    this.length += new TextEncoder().encodeInto(text.replaceAll("\0", " "), room).written;
    this.#bytes[this.length++] = 0;
  }

  /** The packet; the next one begins where it ends. */
  take(): Uint8Array {
    const end = this.length;
    this.length = 0;
    this.u32(MAGIC);
    this.u32(0);
    this.u64(this.#begin ?? this.#end);
    this.u64(this.#end);
    this.u64(BigInt(end * 8));
    this.u64(BigInt(end * 8));
    this.u32(this.vcpu);
    this.#begin = null;
    return this.#bytes.slice(0, end);
  }
}
