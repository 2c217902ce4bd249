/**
 * Sources of inputs: from a recording, and live.
 *
 * @module
 */
import { type BitFlip, encodeFlip, FLIP_TARGET } from "../core/faults.ts";
import type { Due, Input, InputKind, Inputs } from "../core/inputs.ts";
import type { Bundle } from "../traces/bundle.ts";
import { hex } from "../traces/hex.ts";
import { readInputs } from "../traces/inputs_reader.ts";
import { type Script, ScriptRunner } from "./script.ts";

/** What `Inputs.poll` answers. */
export interface Pushed {
  kind: InputKind;
  target: string;
  payload: Uint8Array;
  vcpu: number;
}

/** Kinds that the machine asks for; all others come to it of their own accord. */
export const ASKED: ReadonlySet<string> = new Set<InputKind>(["rtc", "entropy"]);

/** An input the replayed machine asked for is not the recorded one. Becomes a `Divergence` in the replayer. */
export class InputMismatch extends Error {
  override name = "InputMismatch";
  constructor(
    readonly row: number,
    readonly column: string,
    readonly expected: string,
    readonly actual: string,
  ) {
    super(`Input ${row} differs in ${column}: recorded ${expected}, asked for ${actual}.`);
  }
}

/** Inputs as recorded, each at its icount and virtual time. */
export class TraceInputs implements Inputs {
  readonly #bundle: Bundle;
  #asked!: Iterator<Input>;
  #pushed!: Iterator<Input>;
  #nextPushed: Input | null = null;
  #due: Due | null = null;
  /**
   * Inputs from this row on are held back. Where a recording has a checkpoint, inputs of the same icount may lie before
   * and behind it.
   */
  barrier = Infinity;

  constructor(bundle: Bundle) {
    this.#bundle = bundle;
    this.seek(0);
  }

  /** Goes on behind the first `rows` inputs. */
  seek(rows: number): void {
    this.#asked = select(this.#bundle, rows, true);
    this.#pushed = select(this.#bundle, rows, false);
    this.#advance();
  }

  #advance(): void {
    const next = this.#pushed.next();
    this.#nextPushed = next.done ? null : next.value;
    this.#due = next.done ? null : { icount: next.value.icount, timeNs: next.value.timeNs };
  }

  ask(kind: InputKind, target: string, bytes: number): Uint8Array {
    const next = this.#asked.next();
    const actual = `${kind} from ${target}, ${bytes} bytes`;
    if (next.done) throw new InputMismatch(this.#bundle.table("inputs").rows, "row", "none", actual);
    const i = next.value;
    if (i.kind !== kind) throw new InputMismatch(i.seq, "kind", i.kind, actual);
    if (i.target !== target) throw new InputMismatch(i.seq, "target", i.target, actual);
    if (i.payload.length !== bytes) throw new InputMismatch(i.seq, "payload", hex(i.payload), actual);
    return i.payload.slice();
  }

  poll(icount: number, timeNs: number): Pushed | null {
    const i = this.#nextPushed;
    if (i === null || i.seq >= this.barrier || icount < i.icount || timeNs < i.timeNs) return null;
    this.#advance();
    return { kind: i.kind, target: i.target, payload: i.payload.slice(), vcpu: i.vcpu };
  }

  nextDue(): Due | null {
    return this.#nextPushed !== null && this.#nextPushed.seq < this.barrier ? this.#due : null;
  }

  wait(): Promise<boolean> {
    return Promise.resolve(false);
  }
}

function* select(bundle: Bundle, skip: number, asked: boolean): Generator<Input> {
  let row = 0;
  for (const i of readInputs(bundle)) {
    if (row >= skip && ASKED.has(i.kind) === asked) yield { ...i, seq: row };
    row++;
  }
}

/** Passes everything on, and notes what a machine asks for while it is being made and has no observer yet. */
export class CapturingInputs implements Inputs {
  #asked: Omit<Input, "seq">[] | null = [];

  constructor(readonly inner: Inputs) {}

  /** Ends the noting. @returns what was asked for so far */
  release(): Omit<Input, "seq">[] {
    const asked = this.#asked ?? [];
    this.#asked = null;
    return asked;
  }

  ask(kind: InputKind, target: string, bytes: number, icount: number, timeNs: number): Uint8Array {
    const payload = this.inner.ask(kind, target, bytes, icount, timeNs);
    this.#asked?.push({ icount, timeNs, vcpu: 0, kind, target, payload });
    return payload;
  }
  poll(icount: number, timeNs: number): Pushed | null {
    return this.inner.poll(icount, timeNs);
  }
  nextDue(): Due | null {
    return this.inner.nextDue();
  }
  nextIcount(): number | null {
    return this.inner.nextIcount?.() ?? null;
  }
  wait(timeoutMs: number): Promise<boolean> {
    return this.inner.wait(timeoutMs);
  }
}

/** What the live side takes from the host. */
export interface LiveOptions {
  /** Wall-clock seconds since 1970, asked for once by the guest's boot. */
  epochSeconds: () => number;
  /** Random bytes. */
  entropy: (bytes: number) => Uint8Array;
  /** Input that is timed or waits for output. */
  script?: Script;
  /** Bits of guest memory to flip, each at its icount. */
  flips?: readonly (BitFlip & { icount: number })[];
  /** Nobody will ever push: waiting ends when the script does. */
  unattended?: boolean;
}

/** Most bytes of pushed input that wait, and bytes delivered at once. */
const QUEUE_BYTES_MAX = 64 * 1024, CHUNK_BYTES = 256;

/** Inputs from the host: its clock, console bytes the command line pushes, a script. */
export class LiveInputs implements Inputs {
  readonly #queue: Pushed[] = [];
  #queued = 0;
  #ended: boolean;
  #wake: (() => void) | null = null;
  readonly #script: ScriptRunner | null;
  readonly #flips: (BitFlip & { icount: number })[];

  constructor(readonly options: LiveOptions) {
    this.#flips = [...options.flips ?? []].sort((a, b) => a.icount - b.icount);
    this.#ended = options.unattended ?? false;
    this.#script = options.script ? new ScriptRunner(options.script) : null;
  }

  /** Hands console input to the guest. @returns false when the queue is full and nothing was taken */
  push(target: string, bytes: Uint8Array, kind: InputKind = "console"): boolean {
    if (this.#queued + bytes.length > QUEUE_BYTES_MAX) return false;
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      this.#queue.push({ kind, target, payload: bytes.slice(at, at + CHUNK_BYTES), vcpu: 0 });
    }
    this.#queued += bytes.length;
    this.#wake?.();
    return true;
  }

  /** Says that nothing more will be pushed. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Guest output, which a script may be waiting for. */
  observeOutput(bytes: Uint8Array, timeNs: number): void {
    this.#script?.observe(bytes, timeNs);
  }

  ask(kind: InputKind, _target: string, bytes: number): Uint8Array {
    if (kind !== "rtc") return this.options.entropy(bytes);
    const out = new Uint8Array(Math.max(8, bytes)), seconds = Math.floor(this.options.epochSeconds());
    new DataView(out.buffer).setBigUint64(0, BigInt(seconds), true);
    return out.slice(0, bytes);
  }

  /** Flips that have not happened: the run ended before their icounts. */
  get flipsLeft(): number {
    return this.#flips.length;
  }

  nextIcount(): number | null {
    return this.#flips[0]?.icount ?? null;
  }

  poll(icount: number, timeNs: number): Pushed | null {
    if (this.#flips.length > 0 && this.#flips[0].icount <= icount) {
      return { kind: "fault", target: FLIP_TARGET, payload: encodeFlip(this.#flips.shift()!), vcpu: 0 };
    }
    const scripted = this.#script?.poll(timeNs) ?? null;
    if (scripted !== null) return { kind: "console", vcpu: 0, ...scripted };
    const next = this.#queue.shift() ?? null;
    if (next !== null) this.#queued -= next.payload.length;
    return next;
  }

  nextDue(): Due | null {
    return this.#script?.nextDue() ?? null;
  }

  async wait(timeoutMs: number): Promise<boolean> {
    if (this.#script?.hasten()) return true;
    if (this.#queue.length > 0) return true;
    if (this.#ended) return false;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
    this.#wake = null;
    return this.#queue.length > 0 || !this.#ended;
  }
}
