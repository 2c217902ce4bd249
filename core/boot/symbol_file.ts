/**
 * Files with symbols that a user has: a kernel's System.map, a copy of /proc/kallsyms, or an ELF file with its table.
 *
 * @module
 */
import { GuestError } from "../config.ts";
import { isElf } from "./elf.ts";
import { extractSymbols } from "./symbols.ts";

/** A symbol as nm and /proc/kallsyms print it. */
export interface ListedSymbol {
  start: bigint;
  /** Bytes; 0 when the file does not say. */
  size: number;
  /** nm's letter: t, T, w and W are code. */
  type: string;
  name: string;
  /** Module in brackets behind the name (/proc/kallsyms); null: the kernel. */
  module: string | null;
}

/** Symbols of a file, in its order. */
export interface SymbolFile {
  /** File name, for people. */
  name: string;
  source: "System.map" | "elf";
  symbols: ListedSymbol[];
}

const SYMBOLS_MAX = 2_000_000, NAME_MAX = 512;
const LINE =
  /^([0-9a-f]{8}(?:[0-9a-f]{8})?) ([A-Za-z?-]) ([\x21-\x7e]+)(?:\s+\[([\x21-\x5c\x5e-\x7e]+)\])?\s*$/;

/**
 * Reads a file with symbols.
 * @param name file name, for people
 * @throws GuestError when it is neither ELF nor lines of address, letter and name, or has no usable address
 */
export function readSymbolFile(name: string, bytes: Uint8Array): SymbolFile {
  if (isElf(bytes)) {
    const symbols = extractSymbols(name, bytes).map((s) => ({ ...s, type: "t", module: null }));
    if (symbols.length === 0) {
      throw new GuestError(`Cannot use ${name} for symbols: it is stripped; give the file before stripping.`);
    }
    return { name, source: "elf", symbols };
  }
  const symbols: ListedSymbol[] = [];
  for (const line of lines(bytes)) {
    const m = LINE.exec(line);
    if (m === null) {
      if (line.trim() === "") continue;
      throw new GuestError(
        `Cannot use ${name} for symbols: line ${symbols.length + 1} is not an address, a letter and a name.`,
      );
    }
    if (symbols.length >= SYMBOLS_MAX) {
      throw new GuestError(`Cannot use ${name} for symbols: it has more than ${SYMBOLS_MAX}.`);
    }
    symbols.push({
      start: BigInt(`0x${m[1]}`),
      size: 0,
      type: m[2],
      name: m[3].slice(0, NAME_MAX),
      module: m[4]?.slice(0, NAME_MAX) ?? null,
    });
  }
  // /proc/kallsyms read without privilege has zeroes only; Debian ships a System.map that is a note.
  if (!symbols.some((s) => s.start > 0n)) {
    throw new GuestError(`Cannot use ${name} for symbols: it has no addresses.`);
  }
  return { name, source: "System.map", symbols };
}

/** Lines, one at a time. */
function* lines(bytes: Uint8Array): Generator<string> {
  const decoder = new TextDecoder();
  for (let from = 0; from < bytes.length;) {
    const end = bytes.indexOf(10, from);
    const to = end < 0 ? bytes.length : end;
    yield decoder.decode(bytes.subarray(from, Math.min(to, from + 4 * NAME_MAX)));
    from = to + 1;
  }
}
