/**
 * Stacks of exits as profiles: folded (flamegraph.pl, inferno), speedscope's file format, pprof's profile.proto. The unit
 * is exits, innermost frame is the exit's reason.
 *
 * @module
 */
import { gzipSync } from "node:zlib";
import { harmless, jsonString } from "../text.ts";
import type { ExportInput } from "./exporter.ts";
import { vcpuName } from "./exporter.ts";
import { Message } from "./protobuf.ts";
import { type ExitStack, exitStacks } from "./stacks.ts";

/** A stack as names, outermost first: callers, function, reason. */
function names(stack: ExitStack): string[] {
  return [...stack.functions.toReversed(), stack.reason].map(harmless);
}

/** Folded stacks: `vcpu;outer;inner;REASON count`, a line each. */
export function* folded({ session }: ExportInput): Generator<string> {
  const counts = new Map<string, number>();
  for (const stack of exitStacks(session)) {
    // A semicolon would start another frame.
    const line = [vcpuName(stack.vcpu), ...names(stack).map((n) => n.replaceAll(";", ":"))].join(";");
    counts.set(line, (counts.get(line) ?? 0) + stack.count);
  }
  for (const [line, count] of counts) yield `${line} ${count}\n`;
}

/** speedscope's JSON (https://www.speedscope.app/file-format-schema.json): a sampled profile for each vCPU. */
export function* speedscope({ session, summary }: ExportInput): Generator<string> {
  const frames = new Map<string, number>();
  const frame = (name: string): number => {
    const known = frames.get(name);
    if (known !== undefined) return known;
    frames.set(name, frames.size);
    return frames.size - 1;
  };
  const profiles = new Map<number, { samples: number[][]; weights: number[] }>();
  for (const stack of exitStacks(session)) {
    const profile = profiles.get(stack.vcpu) ?? { samples: [], weights: [] };
    profiles.set(stack.vcpu, profile);
    profile.samples.push(names(stack).map(frame));
    profile.weights.push(stack.count);
  }
  yield `{"$schema": "https://www.speedscope.app/file-format-schema.json",\n`;
  yield `"name": ${
    jsonString(`${summary.guest}: exits`)
  }, "activeProfileIndex": 0, "exporter": "retrovisor",\n`;
  yield `"shared": {"frames": [${
    [...frames.keys()].map((n) => `{"name": ${jsonString(n)}}`).join(",\n")
  }]},\n`;
  yield `"profiles": [`;
  let before = "";
  for (const [vcpu, { samples, weights }] of profiles) {
    const total = weights.reduce((a, b) => a + b, 0);
    yield `${before}\n{"type": "sampled", "name": "${vcpuName(vcpu)} exits", "unit": "none", ` +
      `"startValue": 0, "endValue": ${total},\n`;
    yield `"samples": ${JSON.stringify(samples)},\n"weights": ${JSON.stringify(weights)}}`;
    before = ",";
  }
  yield `]}\n`;
}

/** Field numbers of pprof's messages (github.com/google/pprof, proto/profile.proto). */
const PROFILE = {
  sampleType: 1,
  sample: 2,
  mapping: 3,
  location: 4,
  function: 5,
  stringTable: 6,
  duration: 10,
  periodType: 11,
  period: 12,
};

/** A pprof profile, gzipped. Locations are functions, at the first address seen in each. */
export function* pprof({ session, summary }: ExportInput): Generator<Uint8Array> {
  const profile = new PprofBuilder();
  for (const stack of exitStacks(session)) profile.add(stack);
  yield gzipSync(profile.finish(summary.time_ns ?? 0));
}

class PprofBuilder {
  readonly #out = new Message();
  readonly #strings = new Map<string, number>([["", 0]]);
  readonly #locations = new Map<string, number>();
  readonly #unit = new Message();

  constructor() {
    this.#unit.int(1, this.#string("exits")).int(2, this.#string("count"));
    this.#out.message(PROFILE.sampleType, this.#unit);
    const mapping = new Message().int(1, 1).int(2, 0).int(3, 0xffff_ffff_ffff_ffffn).int(
      5,
      this.#string("guest"),
    )
      .int(7, 1);
    this.#out.message(PROFILE.mapping, mapping);
  }

  add(stack: ExitStack): void {
    const locations = [this.#location(stack.reason, 0n)];
    stack.functions.forEach((name, i) => locations.push(this.#location(name, stack.addresses[i])));
    const label = new Message().int(1, this.#string("vcpu")).int(2, this.#string(vcpuName(stack.vcpu)));
    this.#out.message(
      PROFILE.sample,
      new Message().packed(1, locations).packed(2, [stack.count]).message(3, label),
    );
  }

  finish(durationNs: number): Uint8Array {
    this.#out.int(PROFILE.duration, durationNs).message(PROFILE.periodType, this.#unit).int(
      PROFILE.period,
      1,
    );
    for (const s of this.#strings.keys()) this.#out.text(PROFILE.stringTable, s);
    return this.#out.bytes();
  }

  #string(text: string): number {
    const known = this.#strings.get(text);
    if (known !== undefined) return known;
    this.#strings.set(text, this.#strings.size);
    return this.#strings.size - 1;
  }

  /** Location and function share a number; the first address seen stands for both. */
  #location(name: string, address: bigint): number {
    const clean = harmless(name);
    const known = this.#locations.get(clean);
    if (known !== undefined) return known;
    const id = this.#locations.size + 1;
    this.#locations.set(clean, id);
    const text = this.#string(clean);
    this.#out.message(PROFILE.function, new Message().int(1, id).int(2, text).int(3, text));
    const line = new Message().int(1, id);
    this.#out.message(PROFILE.location, new Message().int(1, id).int(2, 1).int(3, address).message(4, line));
    return id;
  }
}
