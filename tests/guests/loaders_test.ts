import { assert, assertEquals } from "@std/assert";
import { ImageReader } from "../../core/boot/bytes.ts";
import { extractVmlinux, parseSetupHeader } from "../../core/boot/bzimage.ts";
import { describeImage } from "../../core/boot/describe.ts";
import { load } from "../boot_images.ts";
import { guestPath } from "./manifest.ts";

/** Runs a program on bytes; returns what it printed. */
async function filter(program: string, args: string[], input: Uint8Array): Promise<Uint8Array> {
  const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped", stderr: "null" }).spawn();
  const writer = child.stdin.getWriter();
  // A decompressor may stop reading before the end: what it printed is judged.
  const written = writer.write(new Uint8Array(input)).then(() => writer.close()).catch(() => {});
  const { stdout } = await child.output();
  await written;
  return stdout;
}

for (const [role, program] of [["linux-cloud", "lz4"], ["linux-amd64", "xz"], ["linux-686-pae", "xz"]]) {
  const path = guestPath(role);
  Deno.test({
    name: `kernel of ${role} unpacks to what ${program} makes of it`,
    ignore: path === null,
    fn: async () => {
      const bytes = await Deno.readFile(path!);
      assertEquals(describeImage(bytes), "bzimage");
      const r = new ImageReader(role, bytes);
      const header = parseSetupHeader(r);
      const at = header.setupBytes + header.payloadOffset;
      const theirs = await filter(program, ["-dc"], bytes.subarray(at, at + header.payloadLength - 4));
      const ours = extractVmlinux(r).bytes;
      assertEquals(ours.length, theirs.length);
      assert(ours.every((b, i) => b === theirs[i]));
    },
  });
}

/** Entry points as `readelf -n` of binutils and guests' own documents give them. */
const PVH_GUESTS: [role: string, format: string][] = [
  ["linux-cloud", "pvh-elf64"],
  ["linux-amd64", "pvh-elf64"],
  ["linux-686-pae", "pvh-elf32"],
  ["grub-pvh", "pvh-elf32"],
  ["xen-shim", "pvh-elf32"],
];

for (const [role, format] of PVH_GUESTS) {
  const path = guestPath(role);
  Deno.test({
    name: `PVH loader enters ${role} where readelf says`,
    ignore: path === null,
    fn: async () => {
      const bytes = await Deno.readFile(path!);
      const { boot } = load(bytes, { memoryBytes: 256 << 20 });
      assertEquals(boot.format, format);
      const elf = describeImage(bytes) === "bzimage"
        ? extractVmlinux(new ImageReader(role, bytes)).bytes
        : bytes;
      const file = await Deno.makeTempFile();
      await Deno.writeFile(file, elf);
      const { stdout } = await new Deno.Command("readelf", { args: ["-nW", file], stderr: "null" }).output();
      await Deno.remove(file);
      const note = new TextDecoder().decode(stdout).match(
        /Xen.*\(0x0*12\).*description data: ((?:[0-9a-f]{2} ?)+)/,
      );
      assert(note, "readelf finds no note of type 18");
      const entry = parseInt(note[1].trim().split(" ").reverse().join(""), 16);
      assertEquals(boot.entry.rip, entry);
    },
  });
}

for (
  const [role, type] of [["memtest-x64", "linux"], ["linux-686", "linux"], ["xen", "multiboot"], [
    "seabios",
    "bios",
  ]]
) {
  const path = guestPath(role);
  Deno.test({
    name: `${type} loader accepts ${role}`,
    ignore: path === null,
    fn: async () => {
      const config = { type: type as "linux" | "multiboot" | "bios", xen: false, memoryBytes: 128 << 20 };
      const { boot, mem } = load(await Deno.readFile(path!), config);
      assert(mem.isBacked(boot.entry.cs.base + boot.entry.rip, 1));
    },
  });
}
