/**
 * Fetches real guests from Debian: `deno task guests [FOLDER] [--refresh]`.
 *
 * Packages come through apt as this machine configures it, but with a private apt root: the machine's own lists,
 * architectures and packages are not touched, and nothing is installed. Files are found by pattern, never by version.
 * Prints the manifest as JSON; exit code 1 when a file is missing.
 *
 * @module
 */
import { type GuestFile, type GuestManifest, guestsFolder, readManifest } from "./manifest.ts";

/** One package and the files wanted from it. */
interface Wanted {
  /** Package name; the pattern picks among names when it moves with a version. */
  package: string;
  architecture: "amd64" | "i386" | "arm64";
  /** The package only depends on the one that is wanted. */
  meta?: boolean;
  /** Role → path inside the package. */
  files: Record<string, RegExp>;
}

const WANTED: Wanted[] = [
  {
    package: "grub-xen-host",
    architecture: "amd64",
    files: {
      "grub-pvh": /^usr\/lib\/grub-xen\/grub-i386-xen_pvh\.bin$/,
      "grub-pv64": /^usr\/lib\/grub-xen\/grub-x86_64-xen\.bin$/,
      "grub-pv32": /^usr\/lib\/grub-xen\/grub-i386-xen\.bin$/,
    },
  },
  {
    package: "memtest86+",
    architecture: "amd64",
    files: { "memtest-x64": /^boot\/.*x64\.bin$/, "memtest-ia32": /^boot\/.*ia32\.bin$/ },
  },
  {
    package: "seabios",
    architecture: "amd64",
    files: {
      "seabios": /^usr\/share\/seabios\/bios\.bin$/,
      "seabios-256k": /^usr\/share\/seabios\/bios-256k\.bin$/,
      "seabios-microvm": /^usr\/share\/seabios\/bios-microvm\.bin$/,
    },
  },
  { package: "busybox-static", architecture: "amd64", files: { "busybox": /^(usr\/)?bin\/busybox$/ } },
  { package: "busybox-static", architecture: "i386", files: { "busybox-i386": /^(usr\/)?bin\/busybox$/ } },
  {
    package: "linux-image-cloud-amd64",
    architecture: "amd64",
    meta: true,
    files: { "linux-cloud": /^boot\/vmlinuz-.*cloud-amd64$/ },
  },
  {
    package: "linux-image-amd64",
    architecture: "amd64",
    meta: true,
    files: { "linux-amd64": /^boot\/vmlinuz-.*-amd64$/ },
  },
  {
    package: "linux-image-686",
    architecture: "i386",
    meta: true,
    files: { "linux-686": /^boot\/vmlinuz-.*-686$/ },
  },
  {
    package: "linux-image-686-pae",
    architecture: "i386",
    meta: true,
    files: { "linux-686-pae": /^boot\/vmlinuz-.*-686-pae$/ },
  },
  {
    package: "xen-hypervisor-4",
    architecture: "amd64",
    files: { "xen": /^boot\/xen-[\d.]+-amd64\.gz$/ },
  },
  {
    package: "xen-utils-4",
    architecture: "amd64",
    files: {
      "xen-shim": /^usr\/lib\/xen-[\d.]+\/boot\/xen-shim$/,
      "hvmloader": /^usr\/lib\/xen-[\d.]+\/boot\/hvmloader$/,
    },
  },
  { package: "xen-utils-common", architecture: "amd64", files: { "xenalyze": /(^|\/)xenalyze$/ } },
  // Not guests: what Deno for another processor needs to run under an emulator (`other_processor_test.ts`).
  {
    package: "libc6",
    architecture: "arm64",
    files: Object.fromEntries(
      ["ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"]
        .map((name) => [`arm64-${name}`, new RegExp(`/${name.replaceAll(".", "\\.")}$`)]),
    ),
  },
  { package: "libgcc-s1", architecture: "arm64", files: { "arm64-libgcc_s.so.1": /\/libgcc_s\.so\.1$/ } },
];

/** Runs a program; returns what it printed. */
async function run(cwd: string, program: string, ...args: string[]): Promise<string> {
  const command = new Deno.Command(program, { args, cwd, env: { LC_ALL: "C" }, stdin: "null" });
  const { code, stdout, stderr } = await command.output();
  if (code !== 0) {
    throw new Error(`${program} ${args.at(-1)} failed: ${new TextDecoder().decode(stderr).trim()}`);
  }
  return new TextDecoder().decode(stdout);
}

/**
 * apt with a private root inside the guests' folder, one for each architecture: an archive whose index for one
 * architecture cannot be had (a mirror in the middle of an update) does not take the other's with it.
 */
class PrivateApt {
  readonly #options: string[];

  private constructor(readonly folder: string, architecture: string) {
    const root = `${folder}/apt-${architecture}`;
    const options: [string, string][] = [
      ["Dir::State", `${root}/state`],
      ["Dir::State::lists", `${root}/state/lists`],
      ["Dir::State::status", `${root}/status`],
      ["Dir::Cache", `${root}/cache`],
      ["APT::Architecture", architecture],
      ["APT::Architectures::", architecture],
      ["APT::Sandbox::User", ""],
      ["Acquire::Languages", "none"],
      ["Acquire::Retries", "3"],
    ];
    this.#options = options.flatMap(([key, value]) => ["-o", `${key}=${value}`]);
  }

  /** Makes the root and updates its lists. A source that fails is tolerated: what is then missing is reported. */
  static async open(folder: string, architecture: string): Promise<PrivateApt> {
    const root = `${folder}/apt-${architecture}`;
    await Deno.mkdir(`${root}/state/lists/partial`, { recursive: true });
    await Deno.mkdir(`${root}/cache/archives/partial`, { recursive: true });
    await Deno.writeTextFile(`${root}/status`, "");
    const apt = new PrivateApt(folder, architecture);
    await run(folder, "apt-get", ...apt.#options, "-q", "update").catch((e) =>
      console.error(`warning: ${e.message}`)
    );
    return apt;
  }

  cache(...args: string[]): Promise<string> {
    return run(this.folder, "apt-cache", ...this.#options, ...args);
  }

  /** Downloads a package into `cwd`. */
  async download(cwd: string, name: string): Promise<void> {
    await run(cwd, "apt-get", ...this.#options, "-q", "download", name);
  }
}

/** The real name of a wanted package: what a meta package depends on, or the newest name that begins so. */
async function resolvePackage(apt: PrivateApt, wanted: Wanted): Promise<string> {
  const suffix = `:${wanted.architecture}`;
  if (wanted.meta) {
    const text = await apt.cache("depends", wanted.package + suffix);
    const names = [...text.matchAll(/Depends: (linux-image-\S+)/g)].map((m) => m[1].replace(/:.*$/, ""));
    if (names.length === 0) throw new Error(`${wanted.package} depends on no kernel`);
    return names[names.length - 1] + suffix;
  }
  if (!/-4$/.test(wanted.package)) return wanted.package + suffix;
  const pattern = `^${wanted.package}\\.[0-9]+(-${wanted.architecture})?$`;
  const names = (await apt.cache("pkgnames")).split("\n").filter((n) => new RegExp(pattern).test(n)).sort();
  if (names.length === 0) throw new Error(`no package is called ${wanted.package}.*`);
  return names[names.length - 1] + suffix;
}

async function sha256(path: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
  return Array.from(new Uint8Array(digest), (b) => b.toString(16).padStart(2, "0")).join("");
}

/** Paths of the regular files of an unpacked package, relative to it. */
async function listFiles(folder: string, prefix = ""): Promise<string[]> {
  const paths: string[] = [];
  for await (const entry of Deno.readDir(`${folder}/${prefix}`)) {
    if (entry.isDirectory) paths.push(...await listFiles(folder, `${prefix}${entry.name}/`));
    else if (entry.isFile) paths.push(prefix + entry.name);
  }
  return paths.sort();
}

/** Downloads and unpacks one package, and finds its files. */
async function fetchPackage(apt: PrivateApt, wanted: Wanted, manifest: GuestManifest): Promise<void> {
  const name = await resolvePackage(apt, wanted);
  const target = name.replace(":", "_");
  const work = `${apt.folder}/download`;
  await Deno.mkdir(work, { recursive: true });
  await apt.download(work, name);
  const debs = (await listFiles(work)).filter((f) => f.endsWith(".deb"));
  if (debs.length !== 1) throw new Error(`${debs.length} files were downloaded for ${name}`);
  const fields = await run(work, "dpkg-deb", "-f", debs[0], "Package", "Version", "Architecture");
  const field = (key: string): string => fields.match(new RegExp(`^${key}: (.*)$`, "m"))?.[1] ?? "";
  await run(work, "dpkg-deb", "-x", debs[0], `${work}/unpacked`);
  const paths = await listFiles(`${work}/unpacked`);
  for (const [role, pattern] of Object.entries(wanted.files)) {
    const path = paths.find((p) => pattern.test(p));
    if (!path) {
      manifest.missing[role] = `no file of ${field("Package")} ${field("Version")} matches ${pattern.source}`;
      continue;
    }
    const kept = `${apt.folder}/${target}/${path}`;
    await Deno.mkdir(kept.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.rename(`${work}/unpacked/${path}`, kept);
    manifest.files[role] = {
      path: `${target}/${path}`,
      package: field("Package"),
      version: field("Version"),
      architecture: wanted.architecture,
      sha256: await sha256(kept),
    };
  }
}

/** True when every wanted file is there as the manifest says. */
async function isComplete(folder: string, manifest: GuestManifest | null): Promise<boolean> {
  if (!manifest) return false;
  for (const role of WANTED.flatMap((w) => Object.keys(w.files))) {
    const file: GuestFile | undefined = manifest.files[role];
    if (!file || await sha256(`${folder}/${file.path}`).catch(() => "") !== file.sha256) return false;
  }
  return true;
}

/** Removes packages that no role of the manifest needs any more. */
async function prune(folder: string, manifest: GuestManifest): Promise<void> {
  const used = new Set(Object.values(manifest.files).map((f) => f.path.split("/")[0]));
  for await (const entry of Deno.readDir(folder)) {
    if (!entry.isDirectory || used.has(entry.name) || !/_(amd64|i386|arm64)$/.test(entry.name)) continue;
    await Deno.remove(`${folder}/${entry.name}`, { recursive: true });
  }
}

/**
 * Makes the folder hold every wanted guest.
 * @param folder where; made when it does not exist
 * @param refresh fetch even what is there
 * @returns the manifest, also written to `manifest.json` in the folder
 */
export async function fetchGuests(folder: string, refresh = false): Promise<GuestManifest> {
  const old = readManifest(folder);
  if (!refresh && old && await isComplete(folder, old)) return old;
  await Deno.mkdir(folder, { recursive: true });
  const real = await Deno.realPath(folder);
  const apts = {
    amd64: await PrivateApt.open(real, "amd64"),
    i386: await PrivateApt.open(real, "i386"),
    arm64: await PrivateApt.open(real, "arm64"),
  };
  const manifest: GuestManifest = { files: {}, missing: {} };
  for (const wanted of WANTED) {
    const apt = apts[wanted.architecture];
    try {
      await fetchPackage(apt, wanted, manifest);
    } catch (e) {
      const why = e instanceof Error ? e.message : String(e);
      for (const role of Object.keys(wanted.files)) manifest.missing[role] = why;
    }
    await Deno.remove(`${apt.folder}/download`, { recursive: true }).catch(() => {});
  }
  await prune(real, manifest);
  for (const arch of Object.keys(apts)) {
    await Deno.remove(`${real}/apt-${arch}`, { recursive: true }).catch(() => {});
  }
  await Deno.writeTextFile(`${folder}/manifest.json`, JSON.stringify(manifest, null, 2) + "\n");
  return manifest;
}

if (import.meta.main) {
  const folder = Deno.args.find((a) => !a.startsWith("-")) ?? guestsFolder();
  const manifest = await fetchGuests(folder, Deno.args.includes("--refresh"));
  console.log(JSON.stringify(manifest, null, 2));
  const missing = Object.entries(manifest.missing);
  for (const [role, why] of missing) console.error(`missing ${role}: ${why}`);
  if (missing.length > 0) Deno.exit(1);
}
