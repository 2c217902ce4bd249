/// <reference lib="dom" />
/**
 * Reads the compressed blocks that the page carries.
 *
 * @module
 */
import { blockId } from "../model/payload.ts";

/** Bytes of a block; the page gives it up. @throws Error when it is not there or is damaged */
export async function takeBlock(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const element = document.getElementById(blockId(name));
  if (element === null) {
    throw new Error(`This file is not whole: its part "${name}" is missing. Make it again.`);
  }
  const packed = fromBase64(element.textContent ?? "");
  element.remove();
  try {
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new Error(`This file is damaged: its part "${name}" cannot be unpacked. Make it again.`);
  }
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const native =
    (Uint8Array as unknown as { fromBase64?: (t: string) => Uint8Array<ArrayBuffer> }).fromBase64;
  if (native !== undefined) return native(text);
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
