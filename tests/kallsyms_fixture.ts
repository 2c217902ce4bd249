/**
 * Symbol tables as Linux's build lays them out, made from a list of symbols, for tests of the decoder.
 *
 * @module
 */

/** One symbol to put into a table. */
export interface MadeSymbol {
  address: bigint;
  type: string;
  name: string;
}

/** How a table is laid out. */
export interface MadeLayout {
  bits: 32 | 64;
  /** Linux 6.1: offsets before the names; 6.4: behind the token index. */
  layout: "6.1" | "6.4";
  /** The order of names by text lies between markers and tokens. */
  seqs: boolean;
  /** CONFIG_KALLSYMS_ABSOLUTE_PERCPU: low addresses are kept as they are. */
  percpu: boolean;
  base: bigint;
  /** Bytes before and behind, with which the table must not be confused. */
  around: number;
}

/** Writes a table; tokens for codes that no name needs are pairs of letters, so that compression is used. */
export function makeKallsyms(symbols: readonly MadeSymbol[], l: MadeLayout): Uint8Array {
  const pointer = l.bits / 8, out: number[] = [];
  const align = (to: number) => {
    while (out.length % to) out.push(0);
  };
  const u32 = (n: number) => out.push(n & 255, n >>> 8 & 255, n >>> 16 & 255, n >>> 24);
  for (let i = 0; i < l.around; i++) out.push(i * 7 & 255);
  const tokens = tokenTable(symbols);
  const offsets = () => {
    align(pointer);
    for (const s of symbols) u32(Number(offsetOf(s, l) & 0xffff_ffffn));
    align(pointer);
    u32(Number(l.base & 0xffff_ffffn));
    if (pointer === 8) u32(Number(l.base >> 32n));
  };
  if (l.layout === "6.1") offsets();
  align(pointer);
  u32(symbols.length);
  align(pointer);
  const names = out.length, markers: number[] = [];
  symbols.forEach((s, i) => {
    if (i % 256 === 0) markers.push(out.length - names);
    const codes = compress(s.type + s.name, tokens);
    if (codes.length > 127) out.push(codes.length & 127 | 128, codes.length >> 7);
    else out.push(codes.length);
    out.push(...codes);
  });
  align(pointer);
  markers.forEach(u32);
  if (l.seqs) {
    align(pointer);
    symbols.forEach((_, i) => out.push(i >> 16, i >> 8 & 255, i & 255));
  }
  align(pointer);
  const index: number[] = [], start = out.length;
  for (const t of tokens) {
    index.push(out.length - start);
    out.push(...new TextEncoder().encode(t), 0);
  }
  align(pointer);
  for (const i of index) out.push(i & 255, i >> 8);
  if (l.layout === "6.4") offsets();
  for (let i = 0; i < l.around; i++) out.push(i * 5 & 255);
  return Uint8Array.from(out);
}

function offsetOf(s: MadeSymbol, l: MadeLayout): bigint {
  if (!l.percpu) return s.address - l.base;
  return s.address < l.base ? s.address : -1n - (s.address - l.base);
}

function tokenTable(symbols: readonly MadeSymbol[]): string[] {
  const used = new Set(symbols.map((s) => s.type + s.name).join(""));
  const pairs = new Set<string>();
  for (const s of symbols) for (let i = 0; i + 1 < s.name.length; i++) pairs.add(s.name.slice(i, i + 2));
  const spare = [...pairs].values();
  return Array.from({ length: 256 }, (_, code) => {
    const own = String.fromCharCode(code);
    // Digits always stand for themselves, as in every kernel.
    if (used.has(own) || /[0-9]/.test(own)) return own;
    return spare.next().value ?? "zz";
  });
}

function compress(text: string, tokens: readonly string[]): number[] {
  const codes: number[] = [];
  for (let i = 0; i < text.length;) {
    const pair = i > 0 ? tokens.indexOf(text.slice(i, i + 2)) : -1;
    const long = pair >= 0 && tokens[pair].length === 2;
    codes.push(long ? pair : tokens.indexOf(text[i]));
    i += long ? 2 : 1;
  }
  return codes;
}
