/**
 * Numbers for combinations of numbers, given in the order in which they first come.
 *
 * @module
 */

/** Words a slot: first, second, 1 + number of the pair (0: free), unused. A slot is within one cache line. */
const SLOT = 4;

/** Numbers pairs of 32-bit values; at most `max` of them, after which `add` answers -1. Open addressing. */
export class PairTable {
  /** Number of pairs. */
  size = 0;
  #slots = new Int32Array(1024 * SLOT);
  #mask = 1023;
  constructor(public max: number) {}

  /** Number of a pair. */
  add(first: number, second: number): number {
    first |= 0;
    second |= 0;
    const slots = this.#slots, mask = this.#mask;
    let slot = hash(first, second) & mask;
    for (;;) {
      const at = slot * SLOT, found = slots[at + 2];
      if (found === 0) break;
      if (slots[at] === first && slots[at + 1] === second) return found - 1;
      slot = (slot + 1) & mask;
    }
    if (this.size >= this.max) return -1;
    const id = this.size++, at = slot * SLOT;
    slots[at] = first;
    slots[at + 1] = second;
    slots[at + 2] = id + 1;
    if (this.size * 3 > mask) this.#grow();
    return id;
  }

  /** First values of all pairs, in order. */
  firsts(): Uint32Array {
    return this.#values(0);
  }

  /** Second values. */
  seconds(): Uint32Array {
    return this.#values(1);
  }

  #values(word: number): Uint32Array {
    const values = new Uint32Array(this.size), slots = this.#slots;
    for (let at = 0; at < slots.length; at += SLOT) {
      if (slots[at + 2] !== 0) values[slots[at + 2] - 1] = slots[at + word];
    }
    return values;
  }

  #grow(): void {
    const old = this.#slots;
    const slots = this.#slots = new Int32Array(old.length * 2), mask = this.#mask = this.#mask * 2 + 1;
    for (let from = 0; from < old.length; from += SLOT) {
      if (old[from + 2] === 0) continue;
      let slot = hash(old[from], old[from + 1]) & mask;
      while (slots[slot * SLOT + 2] !== 0) slot = (slot + 1) & mask;
      for (let k = 0; k < 3; k++) slots[slot * SLOT + k] = old[from + k];
    }
  }
}

/** Mixes two words (the finalizer of MurmurHash3 over their combination). */
function hash(first: number, second: number): number {
  let h = Math.imul(first, 0x9e3779b1) ^ second;
  h = Math.imul(h ^ h >>> 16, 0x85ebca6b);
  h = Math.imul(h ^ h >>> 13, 0xc2b2ae35);
  return h ^ h >>> 16;
}

/** Numbers for values of any kind by a key. */
export class KeyTable<T> {
  readonly values: T[] = [];
  readonly #ids = new Map<string, number>();
  constructor(readonly max: number) {}

  /** Number of a value; once full, that of the last. */
  add(key: string, make: () => T): number {
    const found = this.#ids.get(key);
    if (found !== undefined) return found;
    if (this.values.length >= this.max) return this.values.length - 1;
    const id = this.values.push(make()) - 1;
    this.#ids.set(key, id);
    return id;
  }
}

/** A column that grows. */
export class Growing<A extends Float64Array | Uint32Array | Uint16Array | Uint8Array> {
  #array: A;
  length = 0;
  constructor(readonly make: (length: number) => A, capacity = 1024) {
    this.#array = make(capacity);
  }

  push(value: number): void {
    if (this.length === this.#array.length) {
      const larger = this.make(this.#array.length * 2);
      larger.set(this.#array);
      this.#array = larger;
    }
    this.#array[this.length++] = value;
  }

  /** Value at an index. */
  at(index: number): number {
    return this.#array[index];
  }

  /** Sets a value that was pushed before. */
  set(index: number, value: number): void {
    this.#array[index] = value;
  }

  /** What was pushed. */
  done(): A {
    return this.#array.slice(0, this.length) as A;
  }
}
