/**
 * The same recording on another kind of processor: Deno for ARM64, with V8's code generator for it, under QEMU's
 * user-mode emulation. NaNs, shifts, conversions and memory order differ there; a replay may not.
 */
import { assert, assertEquals } from "@std/assert";
import { guestPath, guestsFolder } from "./manifest.ts";
import { retrovisor } from "./recording.ts";

const QEMU = "/usr/bin/qemu-aarch64-static";
const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;
const SSE_TEST = new URL("../sse_arith_test.ts", import.meta.url).pathname;
const loader = guestPath("arm64-ld-linux-aarch64.so.1"), libgcc = guestPath("arm64-libgcc_s.so.1");

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** This version of Deno for ARM64, from the package that Deno's own npm package depends on there. */
async function denoForArm64(): Promise<string> {
  const name = `@deno/linux-arm64-glibc@${Deno.version.deno}`;
  const folder = `${guestsFolder()}/${name.replaceAll("/", "-")}`, program = `${folder}/package/deno`;
  if (exists(program)) return program;
  await Deno.mkdir(folder, { recursive: true });
  const must = async (command: string, ...args: string[]): Promise<string> => {
    const { success, stdout, stderr } = await new Deno.Command(command, { args, cwd: folder }).output();
    assert(success, `${command}: ${new TextDecoder().decode(stderr)}`);
    return new TextDecoder().decode(stdout).trim();
  };
  const archive = (await must("npm", "pack", "--silent", name)).split("\n").at(-1)!;
  await must("tar", "-xzf", archive);
  await Deno.remove(`${folder}/${archive}`);
  return program;
}

/** Runs Deno for ARM64. */
async function onArm64(...args: string[]): Promise<{ code: number; out: string }> {
  const folderOf = (path: string): string => path.replace(/\/[^/]*$/, "");
  const libraries = `${folderOf(loader!)}:${folderOf(libgcc!)}`;
  const { code, stdout, stderr } = await new Deno.Command(QEMU, {
    args: [loader!, "--library-path", libraries, await denoForArm64(), ...args],
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(800_000),
  }).output();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return { code, out: text(stdout) + text(stderr) };
}

const ignore = !exists(QEMU) || loader === null || libgcc === null || Deno.build.arch !== "x86_64";

Deno.test({
  name: "a recording replays on an ARM64 host to the state it has here",
  ignore,
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "retrovisor-arm64-" });
    try {
      const trace = `${folder}/demo.trace`;
      await retrovisor("run", "--output", trace, "--max-instructions", "3M");
      const facts = JSON.parse((await retrovisor("info", trace, "--format", "json")).out);
      assertEquals(facts.icount, 3_000_000);
      const permissions = ["--no-check", "--no-prompt", "--allow-read", "--allow-env=RETROVISOR_DEBUG"];
      const there = await onArm64("run", ...permissions, MAIN, "replay", trace);
      assertEquals(there.code, 0, there.out);
      assert(there.out.includes(`${facts.exits} exits`), there.out);
      assert(there.out.includes(`State hash ${facts.state_hash}`), there.out);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "SSE arithmetic, NaNs and roundings are the same on an ARM64 host",
  ignore,
  fn: async () => {
    const there = await onArm64("test", "--no-check", "--allow-all", SSE_TEST);
    assertEquals(there.code, 0, there.out);
    assert(
      /ok \| [1-9]\d* passed \(?.*0 failed|ok \| [1-9]\d* passed \| 0 failed/.test(there.out),
      there.out,
    );
  },
});
