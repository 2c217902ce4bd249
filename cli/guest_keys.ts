/**
 * The keys of a guest's configuration and what each does to it.
 *
 * @module
 */
import type { GuestType, InterceptPreset, MachineConfig } from "../core/config.ts";
import { cpuidSpec } from "./cpuid_spec.ts";
import { UsageError } from "./exit_code.ts";
import { suggestion } from "./nearest.ts";
import type { CfgValue } from "./xlcfg.ts";

/** A guest as keys describe it, before its files are read. */
export interface GuestDraft {
  /** Fields that were set. */
  config: Partial<MachineConfig>;
  /** Files by role; paths as given. */
  files: { role: string; path: string }[];
  /** `extra` and `root`, which join into a command line when `cmdline` is not there. */
  extra: string | null;
  root: string | null;
  flat: { load: number; entry: number | null; mode: "real" | "prot32" | "long" };
  /** Features that keys of their own deny. */
  denied: string[];
  /** Keys that were understood and have no meaning here. */
  ignored: string[];
}

/** A draft in which nothing is set. */
export function emptyDraft(): GuestDraft {
  return {
    config: {},
    files: [],
    extra: null,
    root: null,
    flat: { load: 0x10_0000, entry: null, mode: "prot32" },
    denied: [],
    ignored: [],
  };
}

const TYPES: readonly GuestType[] = ["pvh", "linux", "multiboot", "bios", "flat"];
const INTERCEPTS: readonly InterceptPreset[] = ["xen", "kvm", "all"];

type Setter = (draft: GuestDraft, value: CfgValue, key: string) => void;

function text(value: CfgValue, key: string): string {
  if (value.kind === "list") throw new UsageError(`Key ${key} takes one value, not a list.`);
  return value.text;
}

function integer(value: CfgValue, key: string, min: number, max: number): number {
  const word = text(value, key);
  const n = /^(0x[0-9a-f]+|[0-9]+)$/i.test(word) ? Number(word) : NaN;
  if (!Number.isSafeInteger(n) || n < min || n > max) {
    throw new UsageError(`Key ${key} takes a number from ${min} to ${max}, not "${word}".`);
  }
  return n;
}

function boolean(value: CfgValue, key: string): boolean {
  const word = text(value, key).toLowerCase();
  if (["1", "true", "yes", "on"].includes(word)) return true;
  if (["0", "false", "no", "off"].includes(word)) return false;
  throw new UsageError(`Key ${key} takes 0 or 1, not "${word}".`);
}

function choice<T extends string>(value: CfgValue, key: string, known: readonly T[]): T {
  const word = text(value, key);
  const found = known.find((k) => k === word);
  if (found !== undefined) return found;
  throw new UsageError(`Key ${key} has no value "${word}"${suggestion(word, known)}`);
}

function list(value: CfgValue, key: string): string[] {
  return value.kind === "list" ? value.items.map((v) => text(v, key)) : [value.text];
}

/** A file of a role; a later one replaces an earlier one. */
function file(role: string): Setter {
  return (d, v, key) => {
    d.files = d.files.filter((f) => f.role !== role);
    const path = text(v, key);
    if (path !== "") d.files.push({ role, path });
  };
}

/** A whole number that goes into the configuration as it is. */
function number(field: "quantum" | "seed" | "sampleInterval" | "tscKhz", min: number, max: number): Setter {
  return (d, v, key) => d.config[field] = integer(v, key, min, max);
}

const modules: Setter = (d, v, key) => {
  d.files = d.files.filter((f) => !f.role.startsWith("module"));
  list(v, key).forEach((path, i) => d.files.push({ role: `module${i + 1}`, path }));
};

/** xl's machine types that there are here; "pv" is not. */
const guestType: Setter = (d, v, key) => {
  const word = text(v, key);
  if (word === "hvm") return;
  if (word === "pv") {
    throw new UsageError('Type "pv" is not supported: run a PVH or HVM kernel (type = "pvh").');
  }
  d.config.type = choice(v, key, TYPES);
};

/** Ours names the boot protocol; xl's names the order of boot devices, which there are none of. */
const bootKey: Setter = (d, v, key) => {
  if (/^[acdn]+$/.test(text(v, key))) d.ignored.push(key);
  else d.config.type = choice(v, key, TYPES);
};

const builder: Setter = (d, v, key) => choice(v, key, ["generic", "hvm"] as const) && d.ignored.push(key);

/** `bios = "seabios"` is how xl names one; here it is a file. */
const bios: Setter = (d, v, key) => {
  if (["seabios", "rombios", "ovmf"].includes(text(v, key))) {
    throw new UsageError(
      `Key ${key} takes the path of a BIOS image here, e.g. bios=/usr/share/seabios/bios.bin.`,
    );
  }
  file("bios")(d, v, key);
  d.config.type ??= "bios";
};

const memory: Setter = (d, v, key) => d.config.memoryBytes = integer(v, key, 1, 3072) * 2 ** 20;

/** xl's viridian moves Xen's leaves up; only the place matters here. */
const viridian: Setter = (d, v, key) => {
  const on = v.kind === "list" ? v.items.length > 0 : !["0", "none", ""].includes(v.text);
  d.config.xenCpuidBase = on ? 0x4000_0100 : 0x4000_0000;
  if (key === "viridian") d.ignored.push(`${key} (beyond the CPUID base)`);
};

function deny(feature: string): Setter {
  return (d, v, key) => {
    if (!boolean(v, key)) d.denied.push(feature);
  };
}

/** Keys with a meaning here, by name. */
export const KEYS: Readonly<Record<string, Setter>> = {
  name: (d, v, key) => d.config.name = text(v, key).slice(0, 256),
  kernel: file("kernel"),
  ramdisk: file("ramdisk"),
  modules,
  bios,
  firmware_override: bios,
  type: guestType,
  builder,
  boot: bootKey,
  cmdline: (d, v, key) => d.config.cmdline = text(v, key),
  extra: (d, v, key) => d.extra = text(v, key),
  root: (d, v, key) => d.root = text(v, key),
  memory,
  vcpus: (d, v, key) => d.config.vcpus = integer(v, key, 1, 64),
  maxvcpus: (d, v, key) => d.config.vcpus ??= integer(v, key, 1, 64),
  cpuid: (d, v) => d.config.cpuid = cpuidSpec(v),
  pae: deny("pae"),
  nx: deny("nx"),
  viridian,
  xen: (d, v, key) => d.config.xen = boolean(v, key),
  xen_cpuid_base: (d, v, key) => d.config.xenCpuidBase = integer(v, key, 0x4000_0000, 0x4001_0000),
  initdomain: (d, v, key) => d.config.startInfoFlags = boolean(v, key) ? 2 : 0,
  start_info_flags: (d, v, key) => d.config.startInfoFlags = integer(v, key, 0, 0xffff_ffff),
  platform: (d, v, key) => d.config.platform = choice(v, key, ["none", "pc"] as const),
  intercepts: (d, v, key) => d.config.intercepts = choice(v, key, INTERCEPTS),
  acpi: (d, v, key) => d.config.acpi = boolean(v, key),
  seed: number("seed", 0, 0xffff_ffff),
  quantum: number("quantum", 1, 1_000_000_000),
  sample: number("sampleInterval", 0, Number.MAX_SAFE_INTEGER),
  tsc_khz: number("tscKhz", 1000, 100_000_000),
  ns_per_instruction: (d, v, key) => {
    const n = Number(text(v, key));
    if (!(n > 0 && n <= 1e6)) {
      throw new UsageError(`Key ${key} takes a number above 0, not "${text(v, key)}".`);
    }
    d.config.nsPerInstruction = n;
  },
  load: (d, v, key) => d.flat.load = integer(v, key, 0, 0xffff_ffff),
  entry: (d, v, key) => d.flat.entry = integer(v, key, 0, 0xffff_ffff),
  mode: (d, v, key) => d.flat.mode = choice(v, key, ["real", "prot32", "long"] as const),
};

/** Keys of xl.cfg(5) that are accepted so that existing files work, and change nothing. */
export const IGNORED_KEYS: ReadonlySet<string> = new Set(
  ("on_poweroff on_reboot on_crash on_watchdog on_soft_reset uuid pool seclabel init_seclabel maxmem disk vif vfb vtpm " +
    "vkb usbctrl usbdev pci serial parallel sound soundhw vga videoram stdvga vnc vnclisten vncdisplay vncunused vncpasswd " +
    "sdl spice keymap usb usbdevice device_model_version device_model_override device_model_args acpi_s3 acpi_s4 acpi_slic " +
    "apic hap oos nestedhvm timer_mode tsc_mode localtime rtc_timeoffset hpet vpt_align xen_platform_pci nomigrate " +
    "driver_domain blkdev_start cpus cpus_soft cpu_weight cap vnuma dm_restrict shadow_memory passthrough pvshim " +
    "max_grant_frames max_maptrack_frames max_grant_version bootloader bootloader_args mmio_hole altp2m hdtype " +
    "claim_mode event_channels suppress_spurious_page_faults vmcoreinfo iomem ioports irqs rdm gfx_passthru opengl " +
    "nographic channel p9 virtio console").split(" "),
);

/** Sets one key. @throws UsageError for an unknown key (naming the nearest) or an unusable value */
export function setKey(draft: GuestDraft, key: string, value: CfgValue): void {
  if (Object.hasOwn(KEYS, key)) KEYS[key](draft, value, key);
  else if (IGNORED_KEYS.has(key)) draft.ignored.push(key);
  else throw new UsageError(`There is no key "${key}"${nearKey(key)}`);
}

function nearKey(key: string): string {
  const known = Object.keys(KEYS);
  const text = suggestion(key, known);
  return text.startsWith("; did") ? text : "; retrovisor run --help lists the keys.";
}
