/**
 * From the command line's GUEST and `key=value` words to a machine configuration and its images.
 *
 * @module
 */
import { extractVmlinux, isBzImage } from "../core/boot/bzimage.ts";
import { ImageReader } from "../core/boot/bytes.ts";
import { describeImage } from "../core/boot/describe.ts";
import type { ImageFormat } from "../core/boot/types.ts";
import {
  DEFAULT_CONFIG,
  GuestError,
  type GuestImage,
  type GuestType,
  type MachineConfig,
} from "../core/config.ts";
import { UsageError } from "./exit_code.ts";
import { emptyDraft, type GuestDraft, setKey } from "./guest_keys.ts";
import { parseWordValue, parseXlCfg } from "./xlcfg.ts";

/** A guest ready to be given to a machine. */
export interface Guest {
  config: MachineConfig;
  images: GuestImage[];
  /** Keys that were understood and have no meaning here. */
  ignored: string[];
}

/** Reads a file. Throws `Deno.errors.NotFound` when there is none. */
export type ReadFile = (path: string) => Uint8Array;

/** Largest guest file. */
const IMAGE_BYTES_MAX = 2 ** 31;

/** `Deno.readFileSync` with a bound. @throws UsageError, GuestError */
export function readGuestFile(path: string): Uint8Array {
  try {
    const info = Deno.statSync(path);
    if (info.isDirectory) {
      const hint = path.replace(/\/$/, "").endsWith(".trace")
        ? ` to run it again: retrovisor replay ${path}`
        : "";
      throw new UsageError(`Cannot use ${path} as a guest: it is a folder${hint}.`);
    }
    if (info.size > IMAGE_BYTES_MAX) throw new GuestError(`Cannot use ${path}: it is larger than 2 GiB.`);
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new UsageError(`Cannot read ${path}: there is no such file.`);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new UsageError(`Cannot read ${path}: permission denied.`);
    }
    throw error;
  }
}

/**
 * Builds a guest from words: at most one GUEST (a .cfg file or an image), any number of `key=value`, in any order;
 * what is said on the command line wins over the file.
 * @returns null when neither a GUEST nor a kernel or BIOS was named: the demo guest is meant. `draft` has what was set.
 * @throws UsageError, GuestError
 */
export function buildGuest(words: readonly string[], read: ReadFile = readGuestFile): Guest | GuestDraft {
  const guests = words.filter((w) => !isAssignment(w));
  if (guests.length > 1) {
    throw new UsageError(
      `run takes one GUEST, and "${guests[1]}" is one more; settings are written key=value.`,
    );
  }
  const draft = emptyDraft();
  const images = new Map<string, Uint8Array>();
  if (guests.length === 1) readGuestWord(draft, guests[0], read, images);
  for (const word of words) {
    const at = word.indexOf("=");
    if (isAssignment(word)) {
      setKey(draft, word.slice(0, at), parseWordValue(word.slice(0, at), word.slice(at + 1)));
    }
  }
  if (draft.files.length === 0) return draft;
  const files = draft.files.map(({ role, path }): GuestImage => ({
    role,
    name: baseName(path),
    bytes: images.get(path) ?? read(path),
  }));
  return finish(draft, files);
}

/** True when `buildGuest` found a guest, false when the demo guest is meant. */
export function isGuest(g: Guest | GuestDraft): g is Guest {
  return "images" in g;
}

function isAssignment(word: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*=/.test(word);
}

function baseName(path: string): string {
  return path.replace(/\/+$/, "").split("/").at(-1) ?? path;
}

/** A .cfg file sets keys (paths in it are relative to it, as the shell's are to the folder one is in); an image is the kernel. */
function readGuestWord(
  draft: GuestDraft,
  path: string,
  read: ReadFile,
  images: Map<string, Uint8Array>,
): void {
  const bytes = read(path);
  const format = describeImage(bytes);
  if (path.endsWith(".cfg") || (format === "unknown" && looksLikeCfg(bytes))) {
    const text = new TextDecoder().decode(bytes);
    for (const { key, value } of parseXlCfg(path, text)) setKey(draft, key, value);
    draft.config.name ??= baseName(path).replace(/\.cfg$/, "");
    const folder = path.slice(0, path.length - baseName(path).length);
    for (const f of draft.files) if (!f.path.startsWith("/")) f.path = folder + f.path;
    return;
  }
  images.set(path, bytes);
  draft.config.name = baseName(path).replace(/\.(elf|bin|img|gz|cfg)$/, "") || "guest";
  draft.files.push({ role: format === "bios" ? "bios" : "kernel", path });
}

function looksLikeCfg(bytes: Uint8Array): boolean {
  const head = bytes.subarray(0, 4096);
  if (head.some((b) => b === 0 || b > 0x7e)) return false;
  return /^\s*(#.*\n\s*)*[A-Za-z_]\w*\s*=/.test(new TextDecoder().decode(head));
}

/** How a format is booted when nothing was said. */
function typeOf(format: ImageFormat, image: GuestImage): GuestType {
  switch (format) {
    case "multiboot":
      return "multiboot";
    case "bios":
      return "bios";
    case "bzimage":
      return bzImageType(image);
    case "unknown":
      throw new UsageError(
        `Cannot tell what ${image.name} is: it is no ELF, bzImage, multiboot or BIOS image; for raw code say type=flat load=ADDRESS.`,
      );
    default:
      return "pvh";
  }
}

/** A kernel with a PVH entry is booted over it; one without over the Linux boot protocol. */
function bzImageType(image: GuestImage): GuestType {
  if (!isBzImage(image.bytes)) return "linux";
  try {
    const vmlinux = extractVmlinux(new ImageReader(image.name, image.bytes));
    return describeImage(vmlinux.bytes).startsWith("pvh") ? "pvh" : "linux";
  } catch (error) {
    if (error instanceof GuestError) return "linux";
    throw error;
  }
}

/** Fills in what follows from the kind of guest. */
export function finish(draft: GuestDraft, images: GuestImage[]): Guest {
  const { config } = draft;
  const main = images.find((i) => i.role === "kernel") ?? images.find((i) => i.role === "bios");
  if (main === undefined) throw new UsageError("There is no kernel: say kernel=FILE, or name an image.");
  const type = config.type ?? typeOf(describeImage(main.bytes), main);
  if (type === "bios" && main.role === "kernel") main.role = "bios";
  const xen = config.xen ?? type === "pvh";
  const cmdline = config.cmdline ??
    [draft.root ? `root=${draft.root}` : "", draft.extra ?? ""].filter(Boolean).join(" ");
  const denied = draft.denied.map((f) => `,-${f}`).join("");
  return {
    config: {
      ...DEFAULT_CONFIG,
      platform: xen ? "none" : "pc",
      acpi: type !== "bios" && type !== "flat",
      ...config,
      name: config.name ?? main.name,
      type,
      xen,
      cmdline,
      cpuid: (config.cpuid ?? DEFAULT_CONFIG.cpuid) + denied,
      ...(type === "flat"
        ? {
          flat: { load: draft.flat.load, entry: draft.flat.entry ?? draft.flat.load, mode: draft.flat.mode },
        }
        : {}),
    },
    images,
    ignored: draft.ignored,
  };
}
