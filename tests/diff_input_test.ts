/** Pairs of recordings that differ in one byte of one input: `diff` names the first instruction that differs. */
import { assert, assertEquals } from "@std/assert";
import { DEFAULT_CONFIG, type MachineConfig } from "../core/config.ts";
import type { InputKind, Inputs } from "../core/inputs.ts";
import { createMachine } from "../core/machine.ts";
import { compareExecutions, type ExecutionDifference } from "../replay/diff/executions.ts";
import { record } from "../replay/runner.ts";
import { Bundle } from "../traces/bundle.ts";
import { readInputs } from "../traces/inputs_reader.ts";
import { MemoryStore } from "../traces/store.ts";
import { accessesOf, differsAt, FIRST, SEEDS, stepSideBySide } from "./diff_fixture.ts";
import { Random } from "./fidelity/random.ts";

const MOST = 60_000, CODE = 0x1000, MAILBOX = 0x600, RING = 0xfeff_f000;

/** Takes in whatever comes, in turn: first UART, keyboard, the clock's registers, a byte of memory, register RSI. */
const PC_CODE = Uint8Array.of(
  ...[0x66, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0x0d], // mov dx,3fd; in al,dx; test al,1; jz keyboard
  ...[0x66, 0xba, 0xf8, 0x03, 0xec, 0x00, 0xc3], // mov dx,3f8; in al,dx; add bl,al
  ...[0x88, 0x1d, 0x00, 0x05, 0x00, 0x00], // mov [500],bl
  ...[0xe4, 0x64, 0xa8, 0x01, 0x74, 0x0a], // keyboard: in al,64; test al,1; jz clock
  ...[0xe4, 0x60, 0x00, 0xc7, 0x88, 0x3d, 0x01, 0x05, 0x00, 0x00], // in al,60; add bh,al; mov [501],bh
  ...[0xfe, 0xc1, 0x80, 0xe1, 0x07, 0x88, 0xc8], // clock: inc cl; and cl,7; mov al,cl
  ...[0xe6, 0x70, 0xe4, 0x71, 0x00, 0xc4], // out 70,al; in al,71; add ah,al
  ...[0x8a, 0x2d, 0x00, 0x06, 0x00, 0x00], // mov ch,[600]
  ...[0x00, 0x2d, 0x03, 0x05, 0x00, 0x00], // add [503],ch
  ...[0x01, 0xf7, 0xeb, 0xbd], // add edi,esi; jmp start
);
/** Reads Xen's console ring, adds up what is in it, and stores the sum. */
const XEN_CODE = Uint8Array.of(
  ...[0xa1, 0x00, 0xfc, 0xff, 0xfe, 0x3b, 0x05, 0x04, 0xfc, 0xff, 0xfe, 0x74, 0xf3], // until in_cons != in_prod
  ...[0x89, 0xc1, 0x81, 0xe1, 0xff, 0x03, 0x00, 0x00], // mov ecx,eax; and ecx,3ff
  ...[0x0f, 0xb6, 0x91, 0x00, 0xf0, 0xff, 0xfe], // movzx edx,byte [ring+ecx]
  ...[0x00, 0xd3, 0x88, 0x1d, 0x00, 0x05, 0x00, 0x00], // add bl,dl; mov [500],bl
  ...[0x40, 0xa3, 0x00, 0xfc, 0xff, 0xfe, 0xeb, 0xd4], // inc eax; mov [in_cons],eax; jmp start
);

/** A pushed input. */
interface Planned {
  icount: number;
  kind: InputKind;
  target: string;
  payload: Uint8Array;
}

/** A way in: what comes, and the instruction that takes it in. */
interface Way {
  name: string;
  kind: InputKind;
  target: string;
  /** Code of the instruction that is the first to come to something else; null: any, the processor itself was changed. */
  reads: string | null;
  xen?: boolean;
  /** What precedes the bytes in a payload, and how many there are at most. */
  head?: Uint8Array;
  bytes: number;
}

const WAYS: readonly Way[] = [
  { name: "UART", kind: "console", target: "uart0", reads: "ec", bytes: 4 },
  { name: "keyboard", kind: "console", target: "keyboard", reads: "e460", bytes: 4 },
  { name: "clock", kind: "rtc", target: "rtc", reads: "e471", bytes: 4 },
  { name: "Xen console", kind: "console", target: "xen", reads: "0fb69100f0fffe", bytes: 16, xen: true },
  {
    name: "debugger, memory",
    kind: "debugger",
    target: "memory",
    reads: "8a2d00060000",
    head: Uint8Array.of(0, 6, 0, 0, 0, 0, 0, 0),
    bytes: 1,
  },
  { name: "debugger, register", kind: "debugger", target: "v0.rsi", reads: null, bytes: 4 },
];

/** Every day each way in has its turn. */
const PAIRS = Math.max(SEEDS, WAYS.length);

/** Gives inputs at their icounts. */
class PlannedInputs implements Inputs {
  readonly #left: Planned[];

  constructor(planned: readonly Planned[], readonly clock: Uint8Array) {
    this.#left = [...planned];
  }
  ask(_kind: InputKind, _target: string, bytes: number): Uint8Array {
    return this.clock.slice(0, bytes);
  }
  poll(icount: number) {
    const next = this.#left[0];
    if (next === undefined || icount < next.icount) return null;
    this.#left.shift();
    return { ...next, vcpu: 0 };
  }
  nextDue(): null {
    return null;
  }
  nextIcount(): number | null {
    return this.#left[0]?.icount ?? null;
  }
  wait(): Promise<boolean> {
    return Promise.resolve(false);
  }
}

async function recorded(way: Way, inputs: Inputs): Promise<MemoryStore> {
  const store = new MemoryStore(), flat = { load: CODE, entry: CODE, mode: "prot32" } as const;
  const config: MachineConfig = {
    ...DEFAULT_CONFIG,
    type: "flat",
    xen: way.xen ?? false,
    platform: way.xen ? "none" : "pc",
    memoryBytes: 2 << 20,
    flat,
  };
  const images = [{ role: "kernel" as const, name: way.name, bytes: way.xen ? XEN_CODE : PC_CODE }];
  await record(config, images, inputs, store, {
    createMachine,
    maxInstructions: MOST,
    checkpointInterval: 10_000,
  });
  return store;
}

/** Inputs at random places, twice: in the second list, one byte of one of them is another one. */
function pair(random: Random, way: Way): [Planned[], Planned[]] {
  const list: Planned[] = [];
  for (let icount = 500 + random.below(3000); icount < MOST - 5000; icount += 1500 + random.below(8000)) {
    const bytes = Uint8Array.from({ length: 1 + random.below(way.bytes) }, () => random.below(256));
    const payload = Uint8Array.of(...way.head ?? [], ...bytes);
    list.push({ icount, kind: way.kind, target: way.target, payload });
  }
  const other = list.map((p) => ({ ...p, payload: p.payload.slice() }));
  const { payload } = random.pick(other), head = way.head?.length ?? 0;
  const at = head + random.below(payload.length - head);
  payload[at] ^= 1 + random.below(255);
  return [list, other];
}

/** Two recordings, and where their inputs differ. */
async function twoOf(random: Random, way: Way): Promise<[MemoryStore, MemoryStore]> {
  const clock = new Uint8Array(8);
  new DataView(clock.buffer).setUint32(0, 1_000_000_000 + random.below(1e9), true);
  if (way.kind !== "rtc") {
    const [x, y] = pair(random, way);
    return [
      await recorded(way, new PlannedInputs(x, clock)),
      await recorded(way, new PlannedInputs(y, clock)),
    ];
  }
  const other = clock.slice();
  other[random.below(way.bytes)] ^= 1 + random.below(255);
  return [
    await recorded(way, new PlannedInputs([], clock)),
    await recorded(way, new PlannedInputs([], other)),
  ];
}

/** The instruction at an icount, as the bytes of its code. */
function codeAt(d: ExecutionDifference, icount: number): string {
  const { columns, codes, rows } = d.around!.a,
    column = (name: string) => columns.find((c) => c.name === name)!.data;
  const row = Array.from({ length: rows }, (_, i) => column("icount")[i * 2]).indexOf(icount);
  return codes[column("code")[row]].split(":")[2];
}

/** Where the instruction must be that takes in the other byte, from tables alone: nothing is compared that was executed. */
function fromTables(way: Way, a: MemoryStore, d: ExecutionDifference): number | undefined {
  if (way.target === "memory") return accessesOf(a, "memory_reads", MAILBOX, d.input!.icount, MOST)[0];
  if (!way.xen) return d.exit?.icount;
  // The byte's place in the ring is that in the stream of all bytes.
  const [p, q] = [d.input!.a!.payload, d.input!.b!.payload].map((text) => text.match(/../g)!);
  const inputs = [...readInputs(Bundle.open(a))].slice(0, d.input!.row).filter((i) => i.kind === "console");
  const at = inputs.reduce((sum, i) => sum + i.payload.length, 0) + p.findIndex((byte, i) => byte !== q[i]);
  return accessesOf(a, "memory_reads", RING + at % 1024, d.input!.icount, MOST)[0];
}

Deno.test(`diff names the instruction that takes in another byte of input, ${PAIRS} seeds of ${PAIRS}`, async () => {
  for (let seed = FIRST; seed < FIRST + PAIRS; seed++) {
    const random = new Random(seed, 2), way = WAYS[(seed - 1) % WAYS.length];
    const [a, b] = await twoOf(random, way), d = await compareExecutions(Bundle.open(a), Bundle.open(b));
    const what = `seed ${seed}, ${way.name}`, { start, effect } = d.finding!;
    console.log(
      `${what}: input ${d.input?.row} differs at ${d.input?.icount}, instruction at ${effect?.icount}`,
    );
    assertEquals([d.unlike, d.input?.column], [[], "payload"], what);
    assert(effect !== null, what);
    if (way.reads === null) {
      // The input itself makes registers differ: in front of an instruction, not by one.
      const [before, at] = [-1, 0].map((n) => differsAt(a, b, d.input!.icount + n, new Map()));
      assertEquals([before, at, effect.inFront, effect.icount], [false, true, true, d.input!.icount], what);
    } else {
      assertEquals(stepSideBySide(a, b, d.input!.icount, effect.icount - start + 1), effect.icount, what);
      assertEquals([effect.inFront, codeAt(d, effect.icount)], [false, way.reads], what);
    }
    const other = fromTables(way, a, d);
    if (other !== undefined) assertEquals(effect.icount, other, what);
  }
});
