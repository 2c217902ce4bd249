/**
 * The LZMA decoder behind XZ and .lzma files.
 *
 * Source: Igor Pavlov's LZMA specification (`DOC/lzma-specification.txt` of the LZMA SDK).
 *
 * @module
 */

/** Says that packed data is malformed; callers turn it into a `GuestError` with file and offset. */
export class LzmaError extends Error {
  override name = "LzmaError";
}

const STATES = 12, POS_STATES_MAX = 16, LEN_TO_POS_STATES = 4, END_POS_MODEL = 14, MATCH_MIN = 2;
/** Distances below 128 use one bit tree a slot; above, low bits come from the align tree. */
const FULL_DISTANCES = 1 << (END_POS_MODEL >> 1), ALIGN_BITS = 4;
const PROB_INIT = 1024;

/** Offsets of the groups of probabilities within one array. */
const IS_MATCH = 0;
const IS_REP = IS_MATCH + STATES * POS_STATES_MAX;
const IS_REP_G0 = IS_REP + STATES;
const IS_REP_G1 = IS_REP_G0 + STATES;
const IS_REP_G2 = IS_REP_G1 + STATES;
const IS_REP0_LONG = IS_REP_G2 + STATES;
const POS_SLOT = IS_REP0_LONG + STATES * POS_STATES_MAX;
const POS_SPECIAL = POS_SLOT + LEN_TO_POS_STATES * 64;
const POS_ALIGN = POS_SPECIAL + 1 + FULL_DISTANCES - END_POS_MODEL;
const LEN_CODER_SIZE = 2 + POS_STATES_MAX * 8 * 2 + 256;
const LEN_CODER = POS_ALIGN + (1 << ALIGN_BITS);
const REP_LEN_CODER = LEN_CODER + LEN_CODER_SIZE;
const LITERAL = REP_LEN_CODER + LEN_CODER_SIZE;

/** Decodes LZMA symbols from a byte range into one output buffer that is also the dictionary. */
export class LzmaDecoder {
  /** Next byte of `src` to read. */
  at = 0;
  /** Bytes written to `out`. */
  written = 0;
  #probs = new Uint16Array(LITERAL);
  #lc = 0;
  #lpMask = 0;
  #pbMask = 0;
  #state = 0;
  #rep0 = 0;
  #rep1 = 0;
  #rep2 = 0;
  #rep3 = 0;
  #range = 0;
  #code = 0;
  #srcEnd = 0;
  /** Matches may not reach before this offset of `out`. */
  #dictStart = 0;

  /** @param src packed bytes @param out where the unpacked bytes go */
  constructor(readonly src: Uint8Array, readonly out: Uint8Array) {}

  /** Forgets the dictionary: matches reach no further back than here. */
  resetDictionary(): void {
    this.#dictStart = this.written;
  }

  /**
   * Sets lc, lp, pb from the properties byte and resets the state.
   * @param maxLcLp most lc + lp (LZMA2 allows 4)
   */
  setProperties(byte: number, maxLcLp: number): void {
    if (byte >= 225) throw new LzmaError(`LZMA properties ${byte} are not valid`);
    const lc = byte % 9, lp = Math.floor(byte / 9) % 5, pb = Math.floor(byte / 45);
    if (lc + lp > maxLcLp) throw new LzmaError(`LZMA properties lc=${lc} lp=${lp} are not valid`);
    this.#lc = lc;
    this.#lpMask = (1 << lp) - 1;
    this.#pbMask = (1 << pb) - 1;
    if (this.#probs.length !== LITERAL + (0x300 << (lc + lp))) {
      this.#probs = new Uint16Array(LITERAL + (0x300 << (lc + lp)));
    }
    this.resetState();
  }

  /** Resets probabilities, state and repeated distances. */
  resetState(): void {
    this.#probs.fill(PROB_INIT);
    this.#state = 0;
    this.#rep0 =
      this.#rep1 =
      this.#rep2 =
      this.#rep3 =
        0;
  }

  /** Reads the range coder's first five bytes; packed data ends at `srcEnd`. */
  startRange(srcEnd: number): void {
    if (this.at + 5 > srcEnd || srcEnd > this.src.length) throw new LzmaError("the packed data is cut off");
    if (this.src[this.at] !== 0) throw new LzmaError("the range coder does not begin with 0");
    this.#srcEnd = srcEnd;
    this.#code = 0;
    for (let i = 1; i < 5; i++) this.#code = (this.#code << 8 | this.src[this.at + i]) >>> 0;
    this.#range = 0xffff_ffff;
    this.at += 5;
  }

  /** True when the range coder ended as a well-formed stream must. */
  get rangeFinished(): boolean {
    return this.#code === 0;
  }

  /** Copies `size` bytes as they are. */
  copy(size: number): void {
    if (this.at + size > this.src.length || this.written + size > this.out.length) {
      throw new LzmaError("an uncompressed chunk is too long");
    }
    this.out.set(this.src.subarray(this.at, this.at + size), this.written);
    this.at += size;
    this.written += size;
  }

  #bit(index: number): number {
    const probs = this.#probs, prob = probs[index];
    const bound = Math.imul(this.#range >>> 11, prob) >>> 0;
    let bit: number;
    if (this.#code < bound) {
      this.#range = bound;
      probs[index] = prob + ((2048 - prob) >>> 5);
      bit = 0;
    } else {
      this.#range = this.#range - bound;
      this.#code = this.#code - bound;
      probs[index] = prob - (prob >>> 5);
      bit = 1;
    }
    if (this.#range < 0x100_0000) this.#normalize();
    return bit;
  }

  #normalize(): void {
    if (this.at >= this.#srcEnd) throw new LzmaError("the packed data is cut off");
    this.#range = (this.#range << 8) >>> 0;
    this.#code = (this.#code << 8 | this.src[this.at++]) >>> 0;
  }

  #directBits(count: number): number {
    let result = 0;
    for (; count > 0; count--) {
      this.#range >>>= 1;
      const bit = this.#code >= this.#range ? 1 : 0;
      if (bit) this.#code -= this.#range;
      if (this.#range < 0x100_0000) this.#normalize();
      result = result << 1 | bit;
    }
    return result >>> 0;
  }

  #tree(base: number, bits: number): number {
    let m = 1;
    for (let i = 0; i < bits; i++) m = m << 1 | this.#bit(base + m);
    return m - (1 << bits);
  }

  #reverseTree(base: number, bits: number): number {
    let m = 1, symbol = 0;
    for (let i = 0; i < bits; i++) {
      const bit = this.#bit(base + m);
      m = m << 1 | bit;
      symbol |= bit << i;
    }
    return symbol;
  }

  #length(base: number, posState: number): number {
    if (this.#bit(base) === 0) return this.#tree(base + 2 + posState * 8, 3);
    if (this.#bit(base + 1) === 0) return 8 + this.#tree(base + 2 + POS_STATES_MAX * 8 + posState * 8, 3);
    return 16 + this.#tree(base + 2 + POS_STATES_MAX * 16, 8);
  }

  #literal(): void {
    const out = this.out;
    const position = this.written - this.#dictStart;
    const previous = position > 0 ? out[this.written - 1] : 0;
    const context = ((position & this.#lpMask) << this.#lc) + (previous >> (8 - this.#lc));
    const base = LITERAL + 0x300 * context;
    let symbol = 1;
    if (this.#state >= 7) {
      let match = out[this.written - this.#rep0 - 1];
      do {
        const matchBit = match >> 7 & 1;
        match <<= 1;
        const bit = this.#bit(base + ((1 + matchBit) << 8) + symbol);
        symbol = symbol << 1 | bit;
        if (matchBit !== bit) break;
      } while (symbol < 0x100);
    }
    while (symbol < 0x100) symbol = symbol << 1 | this.#bit(base + symbol);
    out[this.written++] = symbol & 0xff;
    this.#state = this.#state < 4 ? 0 : this.#state < 10 ? this.#state - 3 : this.#state - 6;
  }

  #distance(length: number): number {
    const lenState = Math.min(length, LEN_TO_POS_STATES - 1);
    const slot = this.#tree(POS_SLOT + lenState * 64, 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1;
    const base = ((2 | slot & 1) << bits) >>> 0;
    if (slot < END_POS_MODEL) return base + this.#reverseTree(POS_SPECIAL + base - slot, bits);
    return (base + this.#directBits(bits - ALIGN_BITS) * 16 + this.#reverseTree(POS_ALIGN, ALIGN_BITS)) >>> 0;
  }

  /** Length of a match whose distance is now in rep0; 0 when one byte was written; -1 at the end marker. */
  #match(posState: number): number {
    const s = this.#state;
    if (this.#bit(IS_REP + s) === 0) {
      this.#rep3 = this.#rep2;
      this.#rep2 = this.#rep1;
      this.#rep1 = this.#rep0;
      const length = this.#length(LEN_CODER, posState);
      this.#state = s < 7 ? 7 : 10;
      this.#rep0 = this.#distance(length);
      return this.#rep0 === 0xffff_ffff ? -1 : length + MATCH_MIN;
    }
    if (this.#bit(IS_REP_G0 + s) === 0) {
      if (this.#bit(IS_REP0_LONG + s * POS_STATES_MAX + posState) === 0) {
        this.#state = s < 7 ? 9 : 11;
        return 1;
      }
    } else {
      let distance = this.#rep1;
      if (this.#bit(IS_REP_G1 + s) !== 0) {
        distance = this.#rep2;
        if (this.#bit(IS_REP_G2 + s) !== 0) {
          distance = this.#rep3;
          this.#rep3 = this.#rep2;
        }
        this.#rep2 = this.#rep1;
      }
      this.#rep1 = this.#rep0;
      this.#rep0 = distance;
    }
    const length = this.#length(REP_LEN_CODER, posState);
    this.#state = s < 7 ? 8 : 11;
    return length + MATCH_MIN;
  }

  /**
   * Decodes until `end` bytes are written or the end marker comes.
   * @returns true when it ended with the marker
   * @throws LzmaError when the data is malformed
   */
  decode(end: number): boolean {
    if (end > this.out.length) throw new LzmaError("it unpacks to more than it says");
    while (this.written < end) {
      const posState = (this.written - this.#dictStart) & this.#pbMask;
      if (this.#bit(IS_MATCH + this.#state * POS_STATES_MAX + posState) === 0) {
        this.#literal();
        continue;
      }
      const length = this.#match(posState);
      if (length < 0) return true;
      if (this.#rep0 >= this.written - this.#dictStart) {
        throw new LzmaError("a match reaches before the beginning");
      }
      if (this.written + length > end) throw new LzmaError("a match runs past the end");
      this.#copyMatch(length);
    }
    return false;
  }

  #copyMatch(length: number): void {
    const out = this.out, distance = this.#rep0 + 1;
    let at = this.written;
    this.written += length;
    for (const end = at + length; at < end; at++) out[at] = out[at - distance];
  }
}
