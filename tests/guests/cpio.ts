/**
 * Writes cpio archives in the "new ASCII" format, which Linux unpacks as its first root filesystem.
 *
 * Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst. Equal entries give equal bytes: inode
 * numbers count up, owner is root, every time is 0.
 *
 * @module
 */

/** One file of an archive. */
export interface CpioEntry {
  /** Path without a leading slash, e.g. "bin/busybox". */
  path: string;
  /** Type and permissions as in stat(2), e.g. 0o100755. */
  mode: number;
  /** What is in a file, or a symbolic link's target. */
  data?: Uint8Array | string;
  /** Major and minor number of a device node. */
  device?: [major: number, minor: number];
}

const TRAILER: CpioEntry = { path: "TRAILER!!!", mode: 0 };
const HEADER_SIZE = 110;

const align4 = (n: number): number => (n + 3) & ~3;

/**
 * Makes an archive.
 * @param entries its files, directories before what is in them
 * @returns the archive's bytes, padded to 512
 */
export function cpio(entries: readonly CpioEntry[]): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const parts = [...entries, TRAILER].map((e, i) => {
    const name = encoder.encode(e.path + "\0");
    const data = typeof e.data === "string" ? encoder.encode(e.data) : e.data ?? new Uint8Array();
    return { header: encoder.encode(header(e, i + 1, name.length, data.length)), name, data };
  });
  let size = 0;
  for (const p of parts) size += align4(HEADER_SIZE + p.name.length) + align4(p.data.length);
  const archive = new Uint8Array(Math.ceil(size / 512) * 512);
  let at = 0;
  for (const { header, name, data } of parts) {
    archive.set(header, at);
    archive.set(name, at + HEADER_SIZE);
    at += align4(HEADER_SIZE + name.length);
    archive.set(data, at);
    at += align4(data.length);
  }
  return archive;
}

/** Magic number and 13 fields of 8 hexadecimal digits. */
function header(e: CpioEntry, inode: number, nameSize: number, fileSize: number): string {
  const [major, minor] = e.device ?? [0, 0];
  const links = (e.mode & 0o170000) === 0o040000 ? 2 : 1;
  const fields = [inode, e.mode, 0, 0, links, 0, fileSize, 0, 0, major, minor, nameSize, 0];
  return "070701" + fields.map((f) => f.toString(16).padStart(8, "0")).join("");
}
