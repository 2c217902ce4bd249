/**
 * The symbol table that a Linux kernel carries in its own read-only data (CONFIG_KALLSYMS), decoded from an unpacked
 * kernel. Distribution kernels are stripped: this is the only table there is.
 *
 * What is where, each piece aligned to a pointer (Linux 6.1 `scripts/kallsyms.c`, write_src): offsets (one 32-bit word
 * a symbol), relative base (a pointer), number of symbols, compressed names, markers (offset of every 256th name), the
 * order of names by text (later 6.1), token table (256 strings), token index (256 16-bit offsets). From 6.4 on, offsets and base follow the token index. A name is
 * its length (one byte, two when bit 7 is set) and that many tokens; the first character of the text is nm's type letter.
 *
 * Nothing in the file says where the pieces are: the token table betrays itself by its digits, the rest follows from it.
 *
 * @module
 */

/** One symbol as the kernel knows it. */
export interface KernelSymbol {
  /** Address as linked; for a symbol of the per-CPU area, its offset there. */
  address: bigint;
  /** Letter of nm: t and T are code. */
  type: string;
  name: string;
  /** Not an address of the kernel's image: per-CPU offsets and absolute values, which do not move with it. */
  absolute: boolean;
}

/** A decoded table and where in the file it was. */
export interface Kallsyms {
  /** In the table's order: ascending by address, absolute ones first. */
  symbols: KernelSymbol[];
  /** Address as linked to which the offsets are relative. */
  relativeBase: bigint;
  /** Offset in the file of that pointer; relocation changes it in memory by the slide. */
  relativeBaseOffset: number;
  /** Offset in the file of the token table, whose bytes relocation does not change, and its bytes. */
  tokenTableOffset: number;
  tokenTableBytes: number;
}

/** Fewest and most symbols: what looks like a table is none below, and the largest kernel has several times less. */
const SYMBOLS_MIN = 16, SYMBOLS_MAX = 2_000_000;
/** How far before the token table names may begin, and most names that are looked at in search of the right start. */
const NAMES_BYTES_MAX = 64 << 20, WORK_MAX = 50_000_000;
const TOKENS = 256, MARKER_STEP = 256;
/** Longest name in tokens (KSYM_NAME_LEN is 512), and in characters. */
const NAME_TOKENS_MAX = 512, NAME_CHARS_MAX = 512;
/** Longest token table: tokens are parts of names, and its index has 16-bit offsets. */
const TOKEN_TABLE_MAX = 65_536;
/** Token tables that are tried before giving up. */
const CANDIDATES_MAX = 16;

/** Where the pieces are. */
interface Layout {
  count: number;
  names: number;
  tokenTable: number;
  tokenIndex: number;
}

/**
 * Finds and decodes the table in an unpacked kernel (the vmlinux of a bzImage, as a file).
 * @param bits 32 or 64: the kernel's pointer size
 * @returns null when there is none, or none that holds together
 */
export function decodeKallsyms(bytes: Uint8Array, bits: 32 | 64): Kallsyms | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let from = 0;
  for (let i = 0; i < CANDIDATES_MAX; i++) {
    const digits = findDigits(bytes, from);
    if (digits < 0) return null;
    from = digits + 1;
    const tokens = findTokens(view, digits);
    const layout = tokens && findNames(view, tokens.table, tokens.index, bits / 8);
    const decoded = layout && decode(view, layout, bits);
    if (decoded) return decoded;
  }
  return null;
}

/** Offset of the tokens "0" to "9", which follow one another because unused codes stand for their own character. */
function findDigits(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(0x30, from); at >= 0; at = bytes.indexOf(0x30, at + 1)) {
    let i = 0;
    while (i < 10 && bytes[at + 2 * i] === 0x30 + i && bytes[at + 2 * i + 1] === 0) i++;
    if (i === 10) return at;
  }
  return -1;
}

/** The token table around its digits, proven by the index that follows it. */
function findTokens(view: DataView, digits: number): { table: number; index: number } | null {
  const end = Math.min(view.byteLength, digits + TOKEN_TABLE_MAX);
  let at = digits;
  for (let token = 0x30; token < TOKENS; token++) {
    while (at < end && view.getUint8(at) !== 0) at++;
    if (++at > end) return null;
  }
  for (const align of [4, 8]) {
    const index = Math.ceil(at / align) * align;
    if (index + TOKENS * 2 > view.byteLength) return null;
    const table = digits - view.getUint16(index + 0x30 * 2, true);
    if (table >= 0 && isTokenIndex(view, table, index)) return { table, index };
  }
  return null;
}

function isTokenIndex(view: DataView, table: number, index: number): boolean {
  if (view.getUint16(index, true) !== 0) return false;
  let before = 0;
  for (let i = 1; i < TOKENS; i++) {
    const at = view.getUint16(index + i * 2, true);
    if (at <= before || table + at >= index || view.getUint8(table + at - 1) !== 0) return false;
    before = at;
  }
  return true;
}

/**
 * Looks before the token table for the number of symbols: the one behind which that many names lead to their markers.
 * What lies between markers and token table (the order of names by text, since 6.2 and in later 6.1) is not needed.
 */
function findNames(view: DataView, tokenTable: number, tokenIndex: number, pointer: number): Layout | null {
  const lowest = Math.max(0, tokenTable - NAMES_BYTES_MAX);
  let work = WORK_MAX;
  for (let at = tokenTable - tokenTable % pointer; at >= lowest && work > 0; at -= pointer) {
    const count = view.getUint32(at, true), names = at + pointer;
    if (count < SYMBOLS_MIN || count > SYMBOLS_MAX || names + count * 2 > tokenTable) continue;
    if (pointer === 8 && view.getUint32(at + 4, true) !== 0) continue;
    const walked = walkNames(view, names, count, tokenTable, pointer);
    if (walked === count) return { count, names, tokenTable, tokenIndex };
    work -= walked + 1;
  }
  return null;
}

/** Walks over names and compares with their markers. @returns `count` when all is right, or how many there were */
function walkNames(view: DataView, names: number, count: number, end: number, pointer: number): number {
  const starts: number[] = [];
  let at = names;
  for (let i = 0; i < count; i++) {
    if (i % MARKER_STEP === 0) starts.push(at - names);
    const length = nameLength(view, at);
    if (length === 0 || length > NAME_TOKENS_MAX) return i;
    at += (length > 0x7f ? 2 : 1) + length;
    if (at >= end) return i;
  }
  const markers = Math.ceil(at / pointer) * pointer;
  if (markers + starts.length * 4 > end) return count - 1;
  return starts.every((s, i) => view.getUint32(markers + i * 4, true) === s) ? count : count - 1;
}

/** Tokens of a name: one byte, or two with the low seven bits first. The caller knows that the bytes are there. */
function nameLength(view: DataView, at: number): number {
  const byte = view.getUint8(at);
  return byte & 0x80 && at + 1 < view.byteLength ? (byte & 0x7f) | view.getUint8(at + 1) << 7 : byte;
}

function decode(view: DataView, layout: Layout, bits: 32 | 64): Kallsyms | null {
  const pointer = bits / 8, bytes = layout.count * 4;
  const align = (n: number) => Math.ceil(n / pointer) * pointer;
  // Linux to 6.3: the base lies just before the number of symbols, which lies just before the names.
  const old = layout.names - 2 * pointer;
  const after = align(layout.tokenIndex + TOKENS * 2), recent = align(after + bytes);
  const places: [base: number, offsets: number][] = [
    [old, Math.floor((old - bytes) / pointer) * pointer],
    [recent, after],
  ];
  for (const [base, offsets] of places) {
    if (offsets < 0 || Math.max(base + pointer, offsets + bytes) > view.byteLength) continue;
    const relativeBase = bits === 64 ? view.getBigUint64(base, true) : BigInt(view.getUint32(base, true));
    const addresses = readAddresses(view, offsets, layout.count, relativeBase, bits);
    if (addresses === null) continue;
    const { tokenTable: tokenTableOffset, tokenIndex } = layout;
    const tokenTableBytes = tokenIndex - tokenTableOffset;
    const symbols = readNames(view, layout).map((text, i): KernelSymbol => ({
      ...addresses[i],
      type: text[0] ?? "?",
      name: text.slice(1),
    }));
    return { symbols, relativeBase, relativeBaseOffset: base, tokenTableOffset, tokenTableBytes };
  }
  return null;
}

/**
 * Addresses from their offsets. With CONFIG_KALLSYMS_ABSOLUTE_PERCPU (64-bit SMP kernels) an offset that is negative, as
 * signed, is -1 - (address - base), and others are absolute; otherwise all are address - base.
 * @returns null when they do not ascend, or the base is no kernel address: these were not the offsets
 */
function readAddresses(
  view: DataView,
  offsets: number,
  count: number,
  base: bigint,
  bits: 32 | 64,
): { address: bigint; absolute: boolean }[] | null {
  if (base >> BigInt(bits - 1) !== 1n) return null;
  let negative = 0;
  for (let i = 0; i < count; i++) if (view.getInt32(offsets + i * 4, true) < 0) negative++;
  const absolutePercpu = negative > count / 2;
  const out: { address: bigint; absolute: boolean }[] = [];
  let before = -1n;
  for (let i = 0; i < count; i++) {
    const signed = view.getInt32(offsets + i * 4, true);
    const absolute = absolutePercpu && signed >= 0;
    const offset = absolutePercpu ? -1 - signed : signed >>> 0;
    const address = absolute ? BigInt(signed) : BigInt.asUintN(bits, base + BigInt(offset));
    if (address < before) return null;
    before = address;
    out.push({ address, absolute });
  }
  return out;
}

/** All names, expanded, with their type letter before them. */
function readNames(view: DataView, layout: Layout): string[] {
  const tokens: string[] = [];
  for (let i = 0; i < TOKENS; i++) {
    let token = "";
    const start = layout.tokenTable + view.getUint16(layout.tokenIndex + i * 2, true);
    for (let at = start; view.getUint8(at) !== 0 && token.length < NAME_CHARS_MAX; at++) {
      const c = view.getUint8(at);
      // Control characters have no business in a name and would reach terminals.
      token += c > 0x20 && c < 0x7f ? String.fromCharCode(c) : "?";
    }
    tokens.push(token);
  }
  const out: string[] = [];
  for (let i = 0, at = layout.names; i < layout.count; i++) {
    const length = nameLength(view, at);
    at += length > 0x7f ? 2 : 1;
    let text = "";
    for (let k = 0; k < length && text.length <= NAME_CHARS_MAX; k++) text += tokens[view.getUint8(at + k)];
    at += length;
    out.push(text.slice(0, NAME_CHARS_MAX + 1));
  }
  return out;
}
