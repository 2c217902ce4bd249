/**
 * Linux bzImage files: the setup header and the packed kernel inside.
 *
 * Source: Linux `Documentation/arch/x86/boot.rst`, "The Real-Mode Kernel Header".
 *
 * @module
 */
import { hex, ImageReader } from "./bytes.ts";
import { isElf } from "./elf.ts";
import { unpack } from "./unpack.ts";

/** Most bytes a kernel may unpack to: several times the largest distribution kernel. */
export const MAX_UNPACKED = 512 << 20;
const HEADER = 0x1f1, MAGIC_AT = 0x202, HDRS = 0x5372_6448;
const NEXT = "the file is damaged, fetch the kernel again";

/** Fields of the setup header that a loader needs; offsets in the comments are into the file. */
export interface SetupHeader {
  /** 0x206: boot protocol version, e.g. 0x20f. */
  version: number;
  /** Bytes of boot sector and setup code: the protected-mode kernel follows them. */
  setupBytes: number;
  /** 0x1f1 up to this offset is the header to be copied into boot_params. */
  headerEnd: number;
  /** 0x211: bit 0 LOADED_HIGH. */
  loadflags: number;
  /** 0x22c: highest address for the end of the ramdisk. */
  initrdAddrMax: number;
  /** 0x238: most bytes of command line, without its terminating 0. */
  cmdlineSize: number;
  /** 0x248, 0x24c: packed kernel, relative to the protected-mode kernel; 0 when not given. */
  payloadOffset: number;
  payloadLength: number;
  /** 0x258: preferred load address; 0 when not given. */
  prefAddress: number;
  /** 0x260: bytes of memory the kernel needs from its load address before it reads the memory map. */
  initSize: number;
  /** 0x234: may be loaded elsewhere. */
  relocatable: boolean;
}

/** True when the file has a Linux setup header. */
export function isBzImage(bytes: Uint8Array): boolean {
  return bytes.length > 0x250 && [0x48, 0x64, 0x72, 0x53].every((b, i) => bytes[MAGIC_AT + i] === b);
}

/**
 * Reads the setup header.
 * @throws GuestError when it is missing, too old (before protocol 2.06), or points outside the file
 */
export function parseSetupHeader(r: ImageReader): SetupHeader {
  if (r.u32(MAGIC_AT, "the setup header") !== HDRS) r.fail(MAGIC_AT, 'there is no "HdrS" setup header', NEXT);
  const version = r.u16(0x206, "the setup header");
  if (version < 0x206) {
    r.fail(
      0x206,
      `boot protocol ${version >> 8}.${version & 0xff} is older than 2.06`,
      "give a kernel of 2008 or later",
    );
  }
  const since = (v: number, at: number, size: 4 | 8, otherwise: number): number =>
    version < v ? otherwise : size === 4 ? r.u32(at, "the setup header") : r.u64OrInf(at, "the setup header");
  // A setup_sects of 0 means 4, for very old boot sectors.
  const setupBytes = ((r.u8(HEADER, "the setup header") || 4) + 1) * 512;
  r.need(setupBytes, 1, "the protected-mode kernel");
  return {
    version,
    setupBytes,
    headerEnd: MAGIC_AT + r.u8(0x201, "the setup header"),
    loadflags: r.u8(0x211, "the setup header"),
    initrdAddrMax: r.u32(0x22c, "the setup header"),
    cmdlineSize: r.u32(0x238, "the setup header"),
    relocatable: r.u8(0x234, "the setup header") !== 0,
    payloadOffset: since(0x208, 0x248, 4, 0),
    payloadLength: since(0x208, 0x24c, 4, 0),
    prefAddress: since(0x20a, 0x258, 8, 0),
    initSize: since(0x20a, 0x260, 4, 0),
  };
}

/** Kernels already unpacked, by the bzImage's bytes: telling formats apart and loading both need the inside. */
const unpacked = new WeakMap<Uint8Array, Uint8Array>();

/**
 * Takes the ELF kernel (vmlinux) out of a bzImage. Done once for each array of bytes.
 * @returns the vmlinux, under the bzImage's name for messages
 * @throws GuestError when there is no payload, or it does not unpack
 */
export function extractVmlinux(r: ImageReader): ImageReader {
  const known = unpacked.get(r.bytes);
  const vmlinux = known ?? unpackVmlinux(r);
  if (!known) unpacked.set(r.bytes, vmlinux);
  return new ImageReader(`${r.name} (unpacked)`, vmlinux);
}

function unpackVmlinux(r: ImageReader): Uint8Array {
  const header = parseSetupHeader(r);
  if (header.payloadOffset === 0 || header.payloadLength < 8) {
    r.fail(
      0x248,
      "the setup header names no packed kernel",
      "set type=linux to let the kernel unpack itself",
    );
  }
  const at = header.setupBytes + header.payloadOffset;
  const payload = r.slice(at, header.payloadLength, "the packed kernel");
  if (isElf(payload)) return payload;
  // Linux's build appends the unpacked size, except to gzip, whose own last word is just that.
  const gzip = payload[0] === 0x1f && payload[1] === 0x8b;
  const size = r.u32(at + header.payloadLength - 4, "the packed kernel's size");
  if (size > MAX_UNPACKED) {
    r.fail(at + header.payloadLength - 4, `the kernel unpacks to ${hex(size)} bytes, too many`, NEXT);
  }
  const packed = new ImageReader(
    `${r.name} (packed kernel at ${hex(at)})`,
    gzip ? payload : payload.subarray(0, -4),
  );
  const vmlinux = unpack(packed, size, MAX_UNPACKED);
  if (vmlinux.length !== size) {
    r.fail(at, `the packed kernel unpacks to ${vmlinux.length} bytes instead of ${size}`, NEXT);
  }
  if (!isElf(vmlinux)) {
    r.fail(at, "the packed kernel is not an ELF file", "set type=linux to let it unpack itself");
  }
  return vmlinux;
}
