/**
 * The one file that clients may read: the recording's symbols. Packets `vFile`, see "Host I/O Packets" in gdb's manual.
 *
 * @module
 */
import { PACKET_BYTES_MAX, unhexText } from "./packets.ts";

/** Name of that file. */
export const SYMBOLS_FILE = "/recorded-kernel";

const NO_SUCH_FILE = "F-1,2", BAD_DESCRIPTOR = "F-1,9", INVALID = "F-1,16", DESCRIPTOR = 3;

/** Answers `vFile` packets. @param file null: there is none */
export function hostFile(packet: string, file: Uint8Array | null): string {
  const m = /^vFile:([a-z]+):(.*)$/s.exec(packet);
  switch (m?.[1]) {
    case "setfs":
      return "F0";
    case "open": {
      const name = unhexText(m[2].split(",")[0]);
      return file !== null && name === SYMBOLS_FILE ? `F${DESCRIPTOR}` : NO_SUCH_FILE;
    }
    case "close":
      return "F0";
    case "fstat":
      return file !== null && m[2] === String(DESCRIPTOR) ? stat(file.length) : BAD_DESCRIPTOR;
    case "pread":
      return file === null ? BAD_DESCRIPTOR : read(m[2], file);
    case "readlink":
      return NO_SUCH_FILE;
    default:
      return "";
  }
}

function read(args: string, file: Uint8Array): string {
  const m = /^([0-9a-f]{1,8}),([0-9a-f]{1,8}),([0-9a-f]{1,12})$/i.exec(args);
  if (m === null) return INVALID;
  if (parseInt(m[1], 16) !== DESCRIPTOR) return BAD_DESCRIPTOR;
  const from = parseInt(m[3], 16), most = Math.min(parseInt(m[2], 16), PACKET_BYTES_MAX / 2 - 16);
  const part = file.subarray(from, from + most);
  let text = `F${part.length.toString(16)};`;
  for (const b of part) text += String.fromCharCode(b);
  return text;
}

/** The protocol's `struct stat`: 64 bytes, big-endian; of it, mode (a regular file that all may read) and size matter. */
function stat(size: number): string {
  const bytes = new Uint8Array(64), v = new DataView(bytes.buffer);
  v.setUint32(8, 0o100444);
  v.setUint32(12, 1);
  v.setBigUint64(28, BigInt(size));
  return `F40;${String.fromCharCode(...bytes)}`;
}
