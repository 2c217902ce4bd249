/**
 * The model as bytes, for a page that carries it.
 *
 * Layout: 32-bit length of a JSON header, the header, then the columns one after another, each 8-byte aligned. Times
 * are stored as low and high words of their differences, which compress well.
 *
 * @module
 */
import type { ModelColumns, ModelData } from "./data.ts";

type Column = Float64Array | Uint32Array | Uint16Array | Uint8Array;

const TYPES = { Float64Array, Uint32Array, Uint16Array, Uint8Array } as const;
/** Ascending columns of times. */
const TIMES = new Set<keyof ModelColumns>([
  "exitTime",
  "sampleTime",
  "interruptTime",
  "haltStart",
  "lineTime",
]);

interface Header {
  data: Omit<ModelData, "columns">;
  columns: [name: string, type: keyof typeof TYPES, length: number, differences: boolean][];
}

/** Packs a model. */
export function packModel(data: ModelData): Uint8Array<ArrayBuffer> {
  const { columns, ...rest } = data;
  const header: Header = { data: rest, columns: [] };
  const parts: Column[] = [];
  for (const [name, values] of Object.entries(columns) as [keyof ModelColumns, Column][]) {
    const differences = TIMES.has(name);
    header.columns.push([name, typeOf(values), values.length, differences]);
    if (differences) parts.push(...toDifferences(values));
    else parts.push(values);
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const out = new Uint8Array(
    parts.reduce((n, p) => n + align(p.byteLength), align(4 + json.length)),
  );
  new DataView(out.buffer).setUint32(0, json.length, true);
  out.set(json, 4);
  let at = align(4 + json.length);
  for (const p of parts) {
    out.set(new Uint8Array(p.buffer, p.byteOffset, p.byteLength), at);
    at += align(p.byteLength);
  }
  return out;
}

/** Unpacks a model; its columns are views of `bytes` where they can be. */
export function unpackModel(bytes: Uint8Array<ArrayBuffer>): ModelData {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header: Header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  let at = bytes.byteOffset + align(4 + length);
  const take = (type: keyof typeof TYPES, n: number): Column => {
    const values = new TYPES[type](bytes.buffer, at, n);
    at += align(values.byteLength);
    return values;
  };
  const columns: Record<string, Column> = {};
  for (const [name, type, n, differences] of header.columns) {
    columns[name] = differences
      ? fromDifferences(take("Uint32Array", n) as Uint32Array, take("Uint32Array", n) as Uint32Array)
      : take(type, n);
  }
  return { ...header.data, columns: columns as unknown as ModelColumns };
}

function typeOf(values: Column): keyof typeof TYPES {
  if (values instanceof Float64Array) return "Float64Array";
  if (values instanceof Uint32Array) return "Uint32Array";
  return values instanceof Uint16Array ? "Uint16Array" : "Uint8Array";
}

function toDifferences(values: Column): [Uint32Array, Uint32Array] {
  const low = new Uint32Array(values.length), high = new Uint32Array(values.length);
  let before = 0;
  for (let i = 0; i < values.length; i++) {
    const difference = Math.round(values[i]) - before;
    low[i] = difference % 0x1_0000_0000;
    high[i] = Math.floor(difference / 0x1_0000_0000);
    before += difference;
  }
  return [low, high];
}

function fromDifferences(low: Uint32Array, high: Uint32Array): Float64Array {
  const values = new Float64Array(low.length);
  let at = 0;
  for (let i = 0; i < values.length; i++) values[i] = at += low[i] + high[i] * 0x1_0000_0000;
  return values;
}

function align(n: number): number {
  return Math.ceil(n / 8) * 8;
}
