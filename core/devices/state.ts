/**
 * Helpers for device state in checkpoints: hex strings and checked field access. A state that does not fit is a
 * `GuestError`: a checkpoint may come from anywhere.
 *
 * @module
 */
import type { Json } from "../bus.ts";
import { GuestError } from "../config.ts";

/** Bytes as lower-case hex, two digits each. */
export function toHex(bytes: Uint8Array): string {
  let s = "";
  for (const b of bytes) s += (b < 16 ? "0" : "") + b.toString(16);
  return s;
}

/** 32-bit words as lower-case hex, eight digits each. */
export function wordsToHex(words: Uint32Array): string {
  let s = "";
  for (const w of words) s += w.toString(16).padStart(8, "0");
  return s;
}

/** Reads the fields of one device's saved state; every getter throws `GuestError` when the field does not fit. */
export class StateReader {
  readonly #fields: { [key: string]: Json };

  /** @param device name of the device, for messages. */
  constructor(readonly device: string, state: Json) {
    if (state === null || typeof state !== "object" || Array.isArray(state)) {
      throw new GuestError(`Cannot restore ${device}: its saved state is not an object`);
    }
    this.#fields = state;
  }

  #bad(key: string, wanted: string): GuestError {
    return new GuestError(
      `Cannot restore ${this.device}: field "${key}" of its saved state is not ${wanted}`,
    );
  }

  /** A finite number. */
  num(key: string): number {
    const v = this.#fields[key];
    if (typeof v !== "number" || !Number.isFinite(v)) throw this.#bad(key, "a number");
    return v;
  }

  /** A finite number, or Infinity where the state has null. */
  numOrInf(key: string): number {
    return this.#fields[key] === null ? Infinity : this.num(key);
  }

  /** A boolean. */
  bool(key: string): boolean {
    const v = this.#fields[key];
    if (typeof v !== "boolean") throw this.#bad(key, "a boolean");
    return v;
  }

  /** Hex bytes. @param length exact number of bytes wanted; -1: any up to `max` */
  bytes(key: string, length = -1, max = 1 << 20): Uint8Array {
    const v = this.#fields[key];
    if (typeof v !== "string" || v.length % 2 !== 0 || !/^[0-9a-f]*$/.test(v)) {
      throw this.#bad(key, "hex bytes");
    }
    const n = v.length / 2;
    if ((length >= 0 && n !== length) || n > max) throw this.#bad(key, `hex bytes of the right length`);
    const out = new Uint8Array(n);
    for (let i = 0; i < n; i++) out[i] = parseInt(v.slice(i * 2, i * 2 + 2), 16);
    return out;
  }

  /** Hex words into an array of exactly that length. */
  words(key: string, into: Uint32Array): void {
    const v = this.#fields[key];
    if (typeof v !== "string" || v.length !== into.length * 8 || !/^[0-9a-f]*$/.test(v)) {
      throw this.#bad(key, `${into.length} hex words`);
    }
    for (let i = 0; i < into.length; i++) into[i] = parseInt(v.slice(i * 8, i * 8 + 8), 16);
  }

  /** Any value that is there. */
  get(key: string): Json {
    const v = this.#fields[key];
    if (v === undefined) throw this.#bad(key, "there");
    return v;
  }

  /** A list of exactly `length` states. */
  list(key: string, length: number): Json[] {
    const v = this.#fields[key];
    if (!Array.isArray(v) || v.length !== length) throw this.#bad(key, `a list of ${length}`);
    return v;
  }
}
