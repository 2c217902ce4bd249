/**
 * Virtual time as people read and type it.
 *
 * @module
 */

const UNITS = [["s", 1e9], ["ms", 1e6], ["µs", 1e3], ["ns", 1]] as const;

/** The unit in which a span of time is best told. */
export function unitFor(spanNs: number): { name: string; ns: number } {
  const found = UNITS.find(([, ns]) => spanNs >= ns * 2) ?? UNITS[3];
  return { name: found[0], ns: found[1] };
}

/** A moment, with as many places as tell moments `spanNs / 1000` apart. */
export function momentText(ns: number, spanNs: number): string {
  const unit = unitFor(Math.max(ns, spanNs));
  const places = Math.max(0, Math.min(9, Math.ceil(Math.log10(unit.ns / Math.max(1, spanNs / 1000)))));
  return `${(ns / unit.ns).toFixed(places)} ${unit.name}`;
}

/** A length of time, three significant digits. */
export function spanText(ns: number): string {
  const [name, size] = UNITS.find(([, u]) => ns >= u) ?? UNITS[3];
  return `${Number((ns / size).toPrecision(3))} ${name}`;
}

/** Reads "12.5 ms", "1.2s", "300 us" or bare nanoseconds; null when it is none. */
export function parseTime(text: string): number | null {
  const m = /^\s*([0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)\s*(s|ms|us|µs|μs|ns)?\s*$/.exec(text);
  if (m === null) return null;
  const unit = (m[2] ?? "ns").replace(/^[uμ]s$/, "µs");
  const size = UNITS.find(([name]) => name === unit)?.[1] ?? 1;
  return Number(m[1].replaceAll("_", "")) * size;
}

/** A rate, short. */
export function rateText(value: number): string {
  if (value === 0) return "0";
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}

/** A share in percent. */
export function percentText(share: number): string {
  if (!Number.isFinite(share)) return "";
  const percent = share * 100;
  return percent > 0 && percent < 0.1 ? "<0.1%" : `${percent.toFixed(1)}%`;
}
