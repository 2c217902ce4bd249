/**
 * The little AML that a DSDT of ours needs.
 *
 * Source: ACPI specification 6.4, chapter 20 "ACPI Machine Language (AML) Specification".
 *
 * @module
 */

/** Encoded AML. */
export type Aml = number[];

const NAME_OP = 0x08, BYTE_PREFIX = 0x0a, WORD_PREFIX = 0x0b, STRING_PREFIX = 0x0d;
const SCOPE_OP = 0x10, PACKAGE_OP = 0x12, EXT_PREFIX = 0x5b, DEVICE_OP = 0x82, ROOT = 0x5c;

/** An integer of at most 16 bits, in its shortest form. */
export function integer(value: number): Aml {
  if (value === 0 || value === 1) return [value];
  return value < 0x100 ? [BYTE_PREFIX, value] : [WORD_PREFIX, value & 0xff, value >>> 8];
}

/** A string of ASCII characters. */
export function string(text: string): Aml {
  return [STRING_PREFIX, ...new TextEncoder().encode(text), 0];
}

/** A name of up to four characters, padded; a leading backslash makes it absolute. */
export function nameString(name: string): Aml {
  const absolute = name.startsWith("\\"), segment = name.slice(absolute ? 1 : 0).padEnd(4, "_");
  return [...(absolute ? [ROOT] : []), ...new TextEncoder().encode(segment)];
}

/** `Name (name, value)`. */
export function name(nameText: string, value: Aml): Aml {
  return [NAME_OP, ...nameString(nameText), ...value];
}

/** `Package () { ... }`. */
export function pack(elements: Aml[]): Aml {
  return [PACKAGE_OP, ...sized([elements.length, ...elements.flat()])];
}

/** `Scope (name) { ... }`. */
export function scope(nameText: string, terms: Aml[]): Aml {
  return [SCOPE_OP, ...sized([...nameString(nameText), ...terms.flat()])];
}

/** `Device (name) { ... }`. */
export function device(nameText: string, terms: Aml[]): Aml {
  return [EXT_PREFIX, DEVICE_OP, ...sized([...nameString(nameText), ...terms.flat()])];
}

/** Puts the PkgLength encoding, which counts itself, before a body. */
function sized(body: Aml): Aml {
  for (let extra = 0; extra <= 3; extra++) {
    const total = body.length + 1 + extra;
    if (extra === 0 && total < 0x40) return [total, ...body];
    if (extra === 0 || total >= 1 << 4 + 8 * extra) continue;
    const lead = [extra << 6 | total & 0xf];
    for (let i = 0; i < extra; i++) lead.push(total >>> 4 + 8 * i & 0xff);
    return [...lead, ...body];
  }
  throw new RangeError("Cannot encode AML: a package is longer than 2^28 bytes");
}
