import { assert } from "@std/assert";
import { loadGuest, memoryCapacity } from "../core/boot/load.ts";
import { describeImage } from "../core/boot/describe.ts";
import { XEN_SPECIAL_BYTES, XEN_SPECIAL_PAGES } from "../core/boot/memmap.ts";
import { DEFAULT_CONFIG, GuestError, type MachineConfig } from "../core/config.ts";
import { PAGE_SIZE, PhysMem } from "../core/mmu/physmem.ts";
import { demoImage } from "../guests/demo/image.ts";
import { makeBzImage, makeElf, seededRandom } from "./boot_images.ts";

const SEED = Number(Deno.env.get("RETROVISOR_SEED") ?? 20261123);
const MUTATIONS = 10_000;
const CONFIG: MachineConfig = { ...DEFAULT_CONFIG, memoryBytes: 2 << 20, cmdline: "console=hvc0" };
/** Longest that one image may take, in ms: far above what loading needs, far below what a hang would be. */
const LIMIT_MS = 2000;

type Random = () => number;

/** One way of damaging an image. Most aim at its first bytes, where the structure is. */
const MUTATORS: ((bytes: Uint8Array, random: Random) => Uint8Array)[] = [
  (b, random) => (b[random() % b.length] ^= 1 << random() % 8, b),
  (b, random) => (b[random() % Math.min(b.length, 512)] = random(), b),
  (b, random) => {
    const interesting = [0, 1, 0x7f, 0x80, 0xff];
    for (let n = 1 + random() % 8; n > 0; n--) {
      b[random() % Math.min(b.length, 256)] = interesting[random() % 5];
    }
    return b;
  },
  (b, random) => {
    const at = (random() % Math.min(b.length - 8, 600)) & ~3;
    const values = [
      0,
      0xffff_ffff,
      0x7fff_ffff,
      0x8000_0000,
      0x1000,
      0xffff_f000,
      random(),
      random() & 0xffff,
    ];
    new DataView(b.buffer).setUint32(at, values[random() % values.length], true);
    return b;
  },
  (b, random) => b.slice(0, random() % b.length),
  (b, random) => {
    const from = random() % b.length, to = random() % b.length;
    b.copyWithin(to, from, from + random() % 64);
    return b;
  },
  (b, random) => {
    const out = new Uint8Array(b.length + random() % 64);
    const cut = Math.min(64, b.length >> 1);
    out.set(b.subarray(0, cut));
    out.set(b.subarray(cut), out.length - b.length + cut);
    return out;
  },
];

/** Loads an image into memory that is used again and again. Returns whether it was refused. */
function tryLoad(bytes: Uint8Array, mem: PhysMem, config: MachineConfig): boolean {
  try {
    describeImage(bytes);
    const boot = loadGuest(config, [{ role: "kernel", name: "kernel.elf", bytes }], mem);
    assert(mem.isBacked(boot.startInfo ?? 0, 56) && mem.isBacked(boot.entry.rip, 1));
    assert(boot.symbols.length <= bytes.length / 16);
    return false;
  } catch (e) {
    if (!(e instanceof GuestError)) throw e;
    assert(/^Cannot [^\n]{10,400}\.$/.test(e.message), `not one sentence: ${e.message}`);
    return true;
  } finally {
    for (const [first, bytes] of [[0, config.memoryBytes], [XEN_SPECIAL_PAGES, XEN_SPECIAL_BYTES]]) {
      for (let at = first; at < first + bytes; at += PAGE_SIZE) mem.unmap(at);
    }
  }
}

function campaign(name: string, image: Uint8Array, count: number, config: MachineConfig): void {
  const random = seededRandom(SEED);
  const mem = new PhysMem(memoryCapacity(config));
  let refused = 0, slowest = 0;
  for (let i = 0; i < count; i++) {
    let bytes: Uint8Array = image.slice();
    for (let n = 1 + random() % 3; n > 0 && bytes.length > 16; n--) {
      bytes = MUTATORS[random() % MUTATORS.length](bytes, random);
    }
    const start = performance.now();
    try {
      if (tryLoad(bytes, mem, config)) refused++;
    } catch (e) {
      throw new Error(`${name}, seed ${SEED}, mutation ${i}: ${e}`, { cause: e });
    }
    slowest = Math.max(slowest, performance.now() - start);
  }
  console.log(
    `${name}: ${count} mutations, ${refused} refused, seed ${SEED}, slowest ${slowest.toFixed(1)} ms`,
  );
  assert(slowest < LIMIT_MS, `one image took ${slowest} ms`);
  // Neither "all refused" nor "all accepted" would test anything.
  assert(refused > count / 10 && refused < count * 0.98, `${refused} of ${count} refused`);
}

Deno.test(`loader ends cleanly when given ${MUTATIONS} mutations of a PVH image`, () => {
  campaign("demo guest", demoImage(), MUTATIONS, CONFIG);
});

Deno.test("loader ends cleanly when given mutations of a packed PVH image", async () => {
  const elf = makeElf({ bits: 64, segments: [{ paddr: 0x10_0000, bytes: new Uint8Array(5000).fill(0x90) }] });
  const gzip = new Response(elf.slice()).body!.pipeThrough(new CompressionStream("gzip"));
  campaign("bzImage", makeBzImage(await new Response(gzip).bytes()), 2000, CONFIG);
});

Deno.test("loader ends cleanly when given mutations of a multiboot image", () => {
  const code = new Uint8Array(256).fill(0xf4);
  const view = new DataView(code.buffer);
  [0x1bad_b002, 3, -0x1bad_b005].forEach((v, i) => view.setUint32(i * 4, v, true));
  const image = makeElf({ segments: [{ paddr: 0x10_0000, bytes: code }], pvhEntry: null });
  campaign("multiboot", image, 2000, { ...CONFIG, type: "multiboot", xen: false });
});
