/**
 * The guests of the determinism matrix: the demo, the guests of `tests/privileged` and `tests/matrix`, and real ones.
 *
 * @module
 */
import { buildGuest, isGuest } from "../../cli/guest.ts";
import { DEFAULT_CONFIG, type MachineConfig } from "../../core/config.ts";
import { demoImage } from "../../guests/demo/image.ts";
import { BOOTS, FULL, type LinuxBoot, withBoot } from "../guests/linux.ts";
import { guestPath } from "../guests/manifest.ts";
import { type MatrixGuest, matrixLine, type MatrixResult, runMatrix } from "./matrix.ts";
import { assemble, CPUID, guestNames } from "./side_by_side.ts";

/** Numbers of processors that a guest which starts more than one is run with. */
const VCPUS = [1, 2, 4];
/** A multiboot kernel on a PC without Xen. */
const PC: Partial<MachineConfig> = {
  type: "multiboot",
  xen: false,
  platform: "pc",
  memoryBytes: 16 << 20,
  cpuid: CPUID,
};
/** Short turns of odd lengths, so that processors interleave in many ways. */
const TURNS: Partial<MachineConfig> = { quantum: 977, seed: 7 };

/** Instructions of a guest of our own that run compiled at once: each block that is new compiles its region again. */
const AT_ONCE = 30_000;
/** What is quick enough for guests of many instructions and exits. */
const REAL = { soon: 300, atOnce: 5_000, rows: 509, parts: 2 };

/** What needs nothing that is not in the repository. */
export function demoGuests(): MatrixGuest[] {
  const images = [{ role: "kernel", name: "demo", bytes: demoImage() }];
  return [1, 2].map((vcpus) => ({
    name: `demo, ${vcpus} vCPUs`,
    config: { ...DEFAULT_CONFIG, name: "demo", memoryBytes: 32 << 20, vcpus, ...(vcpus > 1 ? TURNS : {}) },
    images,
    most: 100_000_000,
  }));
}

/** Guests of our own that nasm assembles. */
export async function assembledGuests(): Promise<MatrixGuest[]> {
  const folder = await Deno.makeTempDir({ prefix: "retrovisor-matrix-" });
  const most = 100_000_000;
  const kernel = async (name: string, where?: string) => [{
    role: "kernel",
    name,
    bytes: Deno.readFileSync(await assemble(name, folder, where)),
  }];
  try {
    const guests: MatrixGuest[] = [];
    for (const name of guestNames()) {
      const config = { ...DEFAULT_CONFIG, name, ...PC };
      guests.push({ name, config, images: await kernel(name), most, atOnce: AT_ONCE });
    }
    const images = await kernel("smp", "matrix");
    for (const vcpus of VCPUS) {
      const config = { ...DEFAULT_CONFIG, name: "smp", ...PC, ...TURNS, vcpus };
      guests.push({ name: `smp, ${vcpus} vCPUs`, config, images, most });
    }
    return guests;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** From the arguments of `run`. */
function fromWords(
  name: string,
  words: string[],
  more: Omit<MatrixGuest, "name" | "config" | "images">,
): MatrixGuest {
  const built = buildGuest(words);
  if (!isGuest(built)) throw new Error(`${name} has no kernel`);
  return { name, config: built.config, images: built.images, ...more };
}

/** Beginnings of real guests, long enough to start their processors; null when they have not been fetched. */
export function realGuests(): MatrixGuest[] | null {
  const [seabios, grub, cloud, i686] = ["seabios", "grub-pvh", "linux-cloud", "linux-686"].map(guestPath);
  if (!seabios || !grub || !cloud || !i686) return null;
  const guests = [
    fromWords("SeaBIOS", [`bios=${seabios}`, "memory=16"], {
      most: 10_000_000,
      soon: 100,
      atOnce: 1_000_000,
    }),
    fromWords("GRUB", [`kernel=${grub}`, "memory=64"], { ...REAL, most: 5_000_000, soon: 100 }),
    fromWords(
      "Linux 686 on a PC, to 40 M",
      [
        `kernel=${i686}`,
        "memory=64",
        "xen=0",
        "platform=pc",
        "type=linux",
        "cpuid=default,-pae",
        "cmdline=console=ttyS0",
      ],
      { ...REAL, most: 40_000_000 },
    ),
  ];
  for (const vcpus of VCPUS) {
    // The others are started at about 75 M.
    const most = vcpus === 1 ? 30_000_000 : 110_000_000;
    const words = [`kernel=${cloud}`, "memory=96", `vcpus=${vcpus}`, "cmdline=console=hvc0"];
    guests.push(fromWords(`Linux cloud on Xen, ${vcpus} vCPUs, to ${most / 1e6} M`, words, {
      ...REAL,
      most,
    }));
  }
  return guests;
}

/** Complete boots of every kernel on every machine, to where a script powers them off: RETROVISOR_FULL=1. */
export async function eachFullBoot(look: (guest: MatrixGuest) => Promise<void>): Promise<void> {
  if (!FULL) return;
  for (const boot of BOOTS) {
    for (const vcpus of boot.machine === "xen" ? VCPUS : [1]) await fullBoot(boot, vcpus, look);
  }
}

function fullBoot(
  boot: LinuxBoot,
  vcpus: number,
  look: (guest: MatrixGuest) => Promise<void>,
): Promise<void> {
  return withBoot(boot, { script: "poweroff -f\n", vcpus }, (args) => {
    const words = args.slice(0, args.indexOf("--max-instructions"));
    return look(fromWords(`${boot.name}, ${vcpus} vCPUs, to its end`, words, {
      ...REAL,
      most: 4_000_000_000,
    }));
  });
}

/** The mode of `deno task fidelity`: every guest whose name contains `only`, a line each. @returns its exit code */
export async function matrixMain(only: string): Promise<number> {
  const results: MatrixResult[] = [];
  const look = async (guest: MatrixGuest) => {
    if (!guest.name.includes(only)) return;
    const r = await runMatrix(guest), bad = r.cells.filter((c) => c.difference !== null);
    results.push(r);
    console.log(`${guest.name}: ${r.cells.length} cells, ${bad.length} differ, ${r.seconds.toFixed(1)} s`);
    for (const c of bad) console.log(`  ${c.way}: ${c.difference}`);
  };
  for (const guest of [...demoGuests(), ...await assembledGuests(), ...realGuests() ?? []]) await look(guest);
  await eachFullBoot(look);
  console.log(matrixLine(results));
  return results.every((r) => r.cells.every((c) => c.difference === null)) ? 0 : 1;
}
