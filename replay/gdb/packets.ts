/**
 * Packets of gdb's remote serial protocol: "Overview" and "Packet Acknowledgment" in the manual's appendix
 * "gdb Remote Serial Protocol".
 *
 * @module
 */

/** Most bytes of a packet's contents; told to the client as `PacketSize`. */
export const PACKET_BYTES_MAX = 0x4000;
/** Most bytes of a packet on the wire before the sender is taken not to speak the protocol. */
const RAW_BYTES_MAX = PACKET_BYTES_MAX * 2 + 16;

/** What came in. */
export type Incoming =
  | { kind: "packet"; text: string }
  | { kind: "bad" }
  | { kind: "ack" }
  | { kind: "nack" }
  | { kind: "interrupt" };

const DOLLAR = 0x24, HASH = 0x23, PLUS = 0x2b, MINUS = 0x2d, ESCAPE = 0x7d;

/** Takes bytes apart into packets. Contents become text of one character a byte. */
export class PacketReader {
  #raw: number[] | null = null;
  #sum = "";
  #inSum = false;

  /** Takes bytes. @throws RangeError for a packet that is too long: nothing sensible can follow */
  push(bytes: Uint8Array): Incoming[] {
    const out: Incoming[] = [];
    for (const b of bytes) this.#byte(b, out);
    return out;
  }

  #byte(b: number, out: Incoming[]): void {
    if (this.#raw === null) return this.#outside(b, out);
    if (this.#inSum) {
      this.#sum += String.fromCharCode(b);
      if (this.#sum.length === 2) out.push(this.#close(this.#raw));
    } else if (b === HASH) this.#inSum = true;
    else if (b === DOLLAR) this.#open(); // the packet before was cut
    else if (this.#raw.length >= RAW_BYTES_MAX) throw new RangeError("The client's packet is too long");
    else this.#raw.push(b);
  }

  #outside(b: number, out: Incoming[]): void {
    if (b === DOLLAR) this.#open();
    else if (b === PLUS) out.push({ kind: "ack" });
    else if (b === MINUS) out.push({ kind: "nack" });
    else if (b === 3) out.push({ kind: "interrupt" });
  }

  #open(): void {
    this.#raw = [];
    this.#sum = "";
    this.#inSum = false;
  }

  #close(raw: number[]): Incoming {
    let sum = 0, text = "";
    for (let i = 0; i < raw.length; i++) {
      sum = sum + raw[i] & 0xff;
      if (raw[i] !== ESCAPE) text += String.fromCharCode(raw[i]);
      else if (++i < raw.length) {
        sum = sum + raw[i] & 0xff;
        text += String.fromCharCode(raw[i] ^ 0x20);
      }
    }
    this.#raw = null;
    const sound = /^[0-9a-f]{2}$/i.test(this.#sum) && parseInt(this.#sum, 16) === sum;
    return sound ? { kind: "packet", text } : { kind: "bad" };
  }
}

/** Bytes of hexadecimal digits, two each. */
export function unhex(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length >> 1 }, (_, i) => parseInt(hex.slice(i * 2, i * 2 + 2), 16));
}

/** A packet with these contents (one character a byte), escaped and summed up. */
export function encodePacket(contents: string): Uint8Array {
  const out = [DOLLAR];
  let sum = 0;
  const put = (b: number): void => {
    out.push(b);
    sum = sum + b & 0xff;
  };
  for (let i = 0; i < contents.length; i++) {
    const b = contents.charCodeAt(i) & 0xff;
    if (b === DOLLAR || b === HASH || b === ESCAPE || b === 0x2a) {
      put(ESCAPE);
      put(b ^ 0x20);
    } else put(b);
  }
  const text = sum.toString(16).padStart(2, "0");
  out.push(HASH, text.charCodeAt(0), text.charCodeAt(1));
  return Uint8Array.from(out);
}

/** Bytes as hexadecimal text. */
export function hexBytes(bytes: Uint8Array): string {
  let out = "";
  for (const b of bytes) out += (b < 16 ? "0" : "") + b.toString(16);
  return out;
}

/** UTF-8 text as hexadecimal text. */
export function hexText(text: string): string {
  return hexBytes(new TextEncoder().encode(text));
}

/** Text that came as hexadecimal; null when it is none. */
export function unhexText(hex: string): string | null {
  if (hex.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(hex)) return null;
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(hex.slice(i * 2, i * 2 + 2), 16);
  return new TextDecoder().decode(bytes);
}
