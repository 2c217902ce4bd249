/**
 * What the demo guest must print, computed here in another language and, where there is one, by another algorithm.
 *
 * @module
 */
import { crc32 } from "node:zlib";

/** The guest's generator: 64-bit linear congruential, state 1 at start. */
class Random {
  #state = 1n;
  next(): bigint {
    this.#state = BigInt.asUintN(64, this.#state * 6364136223846793005n + 1442695040888963407n);
    return this.#state;
  }
  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => Number(this.next() >> 56n));
  }
}

function countPrimes(limit: number): number {
  const primes: number[] = [];
  for (let n = 2; n < limit; n++) {
    let isPrime = true;
    for (const p of primes) {
      if (p * p > n) break;
      if (n % p === 0) {
        isPrime = false;
        break;
      }
    }
    if (isPrime) primes.push(n);
  }
  return primes.length;
}

function matrixTrace(n: number): number {
  let trace = 0;
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < n; k++) trace += (7 * i + 3 * k) % 256 * ((5 * k + 11 * i) % 256);
  }
  return trace;
}

function occurrences(text: string, needle: string): number {
  let count = 0;
  for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + 1)) count++;
  return count;
}

function lifeCells(n: number, steps: number): number {
  let alive = new Set([[31, 32], [31, 33], [32, 31], [32, 32], [33, 32]].map(([r, c]) => r * n + c));
  for (let s = 0; s < steps; s++) {
    const neighbours = new Map<number, number>();
    for (const cell of alive) {
      for (const [dr, dc] of [[-1, -1], [-1, 0], [-1, 1], [0, -1], [0, 1], [1, -1], [1, 0], [1, 1]]) {
        const at = (Math.floor(cell / n) + dr + n) % n * n + (cell + dc + n) % n;
        neighbours.set(at, (neighbours.get(at) ?? 0) + 1);
      }
    }
    alive = new Set(
      [...neighbours].filter(([at, k]) => k === 3 || k === 2 && alive.has(at)).map(([at]) => at),
    );
  }
  return alive.size;
}

function longestCollatz(limit: number): [number, number] {
  let best: [number, number] = [0, 0];
  for (let start = 1; start < limit; start++) {
    let length = 1;
    for (let n = start; n !== 1; length++) n = n % 2 === 0 ? n / 2 : 3 * n + 1;
    if (length > best[1]) best = [start, length];
  }
  return best;
}

function queensWays(n: number, rows: number[] = []): number {
  if (rows.length === n) return 1;
  let ways = 0;
  for (let c = 0; c < n; c++) {
    if (rows.every((column, r) => column !== c && Math.abs(column - c) !== rows.length - r)) {
      ways += queensWays(n, [...rows, c]);
    }
  }
  return ways;
}

/** Digits of pi behind the point, by Machin's formula. */
function piDigits(digits: number): string {
  const unit = 10n ** BigInt(digits + 10);
  const arctan = (x: bigint): bigint => {
    let sum = 0n;
    for (let k = 1n, term = unit / x, sign = 1n; term !== 0n; k += 2n, term /= x * x, sign = -sign) {
      sum += sign * (term / k);
    }
    return sum;
  };
  return (4n * (4n * arctan(5n) - arctan(239n)) / 10n ** 10n).toString().slice(1);
}

/** The result lines, which are the same on every machine. */
export function demoResultLines(): string[] {
  const random = new Random();
  const crc = crc32(random.bytes(65536));
  const numbers = new Uint32Array(random.bytes(80000).buffer).sort();
  const text = Array.from({ length: 65536 }, () => "abcd"[Number(random.next() >> 62n)]).join("");
  const [start, length] = longestCollatz(10000);
  return [
    `sieve: ${countPrimes(200000)} primes below 200000`,
    `cpuid: 300 leaves read`,
    `crc32: 0x${crc.toString(16)} over 65536 bytes`,
    `ports: 400 writes to port 0x80`,
    `sort: 20000 numbers ascending, median ${numbers[10000]}`,
    `matrix: the trace of a 64x64 product is ${matrixTrace(64)}`,
    `search: ${occurrences(text, "abacab")} times "abacab" in 65536 letters`,
    `paging: 96 pages on demand, sum ${96 * 97 / 2}`,
    `life: ${lifeCells(64, 30)} cells alive after 30 generations`,
    `collatz: ${start} has the longest chain below 10000: ${length}`,
    `fibonacci: fib(22) = 17711`,
    `queens: ${queensWays(9)} ways on a 9x9 board`,
    `pi: 3.${piDigits(100)}`,
  ];
}
