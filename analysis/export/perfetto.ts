/**
 * Perfetto's trace format (protos/perfetto/trace/*.proto, as field numbers below), for ui.perfetto.dev and
 * trace_processor: a thread track for each vCPU with its exits as instants and its halts as slices, a counter track of
 * exits a millisecond for each reason, a track with the console.
 *
 * Timestamps are virtual nanoseconds. Names are interned once; packets need no state but that of the first.
 *
 * @module
 */
import { consoleLines } from "./console.ts";
import { type ExportInput, vcpuName } from "./exporter.ts";
import { Message } from "./protobuf.ts";
import { functionNames, nameOf } from "./stacks.ts";

/** Field numbers. */
const PACKET = 1;
const PacketField = { timestamp: 8, sequence: 10, track_event: 11, interned: 12, flags: 13, track: 60 };
const TrackField = { uuid: 1, name: 2, process: 3, thread: 4, parent: 5, counter: 8 };
const EventField = { annotation: 4, type: 9, name_iid: 10, track: 11, category: 22, name: 23, counter: 30 };
const AnnotationField = { name_iid: 1, uint: 3, text: 6, pointer: 7 };
const InternedField = { event_names: 2, annotation_names: 3 };
const Type = { SLICE_BEGIN: 1, SLICE_END: 2, INSTANT: 3, COUNTER: 4 };
/** SEQ_INCREMENTAL_STATE_CLEARED, SEQ_NEEDS_INCREMENTAL_STATE. */
const CLEARED = 1, NEEDS = 2;

/** Tracks: the process, the console, vCPU n, the counter of the nth reason. */
const PROCESS = 1, CONSOLE = 2, VCPUS = 1000, COUNTERS = 1_000_000;
const PID = 1;
/** Width of a counter's step, ns. */
const COUNTER_NS = 1_000_000n;
const ANNOTATIONS = ["seq", "icount", "rip", "function", "hypercall", "device"] as const;

/** The recording as one Perfetto trace. */
export function* perfetto(input: ExportInput): Generator<Uint8Array> {
  const { session, summary } = input;
  const writer = new PerfettoWriter();
  yield writer.opening(summary.guest);
  for (let v = 0; v < summary.config.vcpus; v++) {
    const thread = new Message().int(1, PID).int(2, v + 1).text(5, vcpuName(v));
    yield writer.track(VCPUS + v, vcpuName(v), PROCESS, (m) => m.message(TrackField.thread, thread));
  }
  yield writer.track(CONSOLE, "console", PROCESS);
  yield* exits(input, writer);
  yield* counters(input, writer);
  for (const { timeNs, device, text } of consoleLines(session)) {
    const event = writer.event(Type.INSTANT, CONSOLE).text(EventField.name, text).text(
      EventField.category,
      "console",
    )
      .message(EventField.annotation, writer.annotation("device").text(AnnotationField.text, device));
    yield writer.packet(timeNs, event);
  }
}

function* exits({ session }: ExportInput, writer: PerfettoWriter): Generator<Uint8Array> {
  const names = functionNames(session);
  const { rows } = session.query(`
SELECT e.seq, e.icount, e.time_ns, e.vcpu, e.reason, coalesce(e.rip, 0)::UBIGINT, h.name, h.subop_name, g.ns
FROM exits e LEFT JOIN (SELECT seq, any_value(name) AS name, any_value(subop_name) AS subop_name
    FROM hypercalls WHERE parent_seq IS NULL GROUP BY seq) h ON h.seq = e.seq
  LEFT JOIN (SELECT seq, ns FROM exit_gaps WHERE reason = 'VMEXIT_HLT') g ON g.seq = e.seq
ORDER BY e.seq`);
  const { uint, pointer, text } = AnnotationField;
  for (const [seq, icount, time, vcpu, reason, rip, call, subop, halted] of rows) {
    const track = VCPUS + Number(vcpu), at = time as bigint;
    const event = writer.event(Type.INSTANT, track);
    const interned = writer.name(event, String(reason));
    event.message(EventField.annotation, writer.annotation("seq").int(uint, seq as bigint))
      .message(EventField.annotation, writer.annotation("icount").int(uint, icount as bigint))
      .message(EventField.annotation, writer.annotation("rip").int(pointer, rip as bigint))
      .message(EventField.annotation, writer.annotation("function").text(text, nameOf(names, rip as bigint)));
    if (call !== null) {
      const name = subop === null ? String(call) : `${call} ${subop}`;
      event.message(EventField.annotation, writer.annotation("hypercall").text(text, name));
    }
    yield writer.packet(at, event, interned);
    if (halted !== null && (halted as bigint) > 0n) {
      const begin = writer.event(Type.SLICE_BEGIN, track);
      yield writer.packet(at, begin, writer.name(begin, "halted"));
      yield writer.packet(at + (halted as bigint), writer.event(Type.SLICE_END, track));
    }
  }
}

function* counters({ session }: ExportInput, writer: PerfettoWriter): Generator<Uint8Array> {
  const { rows } = session.query(`
SELECT time_ns // ${COUNTER_NS} AS step, reason, count(*)::BIGINT FROM exits GROUP BY ALL ORDER BY step, reason`);
  const shown = new Map<string, { track: number; step: bigint }>();
  const value = (track: number, step: bigint, count: bigint) =>
    writer.packet(step * COUNTER_NS, writer.event(Type.COUNTER, track).int(EventField.counter, count));
  for (const [step, reason, count] of rows) {
    const name = String(reason), now = step as bigint;
    let last = shown.get(name);
    if (last === undefined) {
      last = { track: COUNTERS + shown.size, step: now };
      shown.set(name, last);
      yield writer.track(
        last.track,
        `${name} per ms`,
        PROCESS,
        (m) => m.message(TrackField.counter, new Message()),
      );
    } else if (last.step + 1n < now) {
      // A step without exits has no row: the counter goes back to 0 there.
      yield value(last.track, last.step + 1n, 0n);
    }
    yield value(last.track, now, count as bigint);
    last.step = now;
  }
  for (const { track, step } of shown.values()) yield value(track, step + 1n, 0n);
}

/** Packets of one sequence, with the names it has interned. */
class PerfettoWriter {
  readonly #names = new Map<string, number>();

  /** First packet: it clears the state, names the process and interns what annotations are called. */
  opening(guest: string): Uint8Array {
    const interned = new Message();
    ANNOTATIONS.forEach((name, i) =>
      interned.message(InternedField.annotation_names, new Message().int(1, i + 1).text(2, name))
    );
    const process = new Message().int(1, PID).text(6, guest);
    const track = new Message().int(TrackField.uuid, PROCESS).message(TrackField.process, process);
    return wrap(
      new Message().int(PacketField.sequence, 1).int(PacketField.flags, CLEARED)
        .message(PacketField.interned, interned).message(PacketField.track, track),
    );
  }

  /** Says what a track is. */
  track(uuid: number, name: string, parent: number, more: (m: Message) => void = () => {}): Uint8Array {
    const track = new Message().int(TrackField.uuid, uuid).text(TrackField.name, name).int(
      TrackField.parent,
      parent,
    );
    more(track);
    return wrap(new Message().int(PacketField.sequence, 1).message(PacketField.track, track));
  }

  event(type: number, track: number): Message {
    return new Message().int(EventField.type, type).int(EventField.track, track);
  }

  /** Names an event; what has to be interned for that goes into its packet. */
  name(event: Message, name: string): Message | undefined {
    const known = this.#names.get(name);
    const iid = known ?? this.#names.size + 1;
    event.int(EventField.name_iid, iid);
    if (known !== undefined) return undefined;
    this.#names.set(name, iid);
    return new Message().message(InternedField.event_names, new Message().int(1, iid).text(2, name));
  }

  annotation(name: typeof ANNOTATIONS[number]): Message {
    return new Message().int(AnnotationField.name_iid, ANNOTATIONS.indexOf(name) + 1);
  }

  packet(timeNs: bigint, event: Message, interned?: Message): Uint8Array {
    const packet = new Message().int(PacketField.timestamp, timeNs).int(PacketField.sequence, 1)
      .int(PacketField.flags, NEEDS);
    if (interned !== undefined) packet.message(PacketField.interned, interned);
    return wrap(packet.message(PacketField.track_event, event));
  }
}

function wrap(packet: Message): Uint8Array {
  return new Message().message(PACKET, packet).bytes();
}
