/**
 * Every instruction form there can be: what the interpreter has handlers for.
 *
 * @module
 */
import type { AddrKind, Form } from "../form.ts";
import { type Context, effectiveOpsize, entriesOf, formOf } from "./entry.ts";
import { extras, map38, map3a, primary, secondary } from "./maps.ts";

/** Every form any entry can take, for building the interpreter. */
export function* allForms(): Iterable<Form> {
  const plain: Form = { name: "stop", size: 0, ops: [], addr: "L", stack: "L", code64: false, sub: 0 };
  for (const name of ["stop", "stale", "profile", "sys", "jmp", "nop"]) {
    yield { ...plain, name, size: name === "jmp" ? 64 : 0 };
  }
  const kinds: [boolean, AddrKind[], AddrKind[], number[]][] = [
    [true, ["L", "G"], ["L"], [16, 32, 64]],
    [false, ["F", "G"], ["F", "G"], [16, 32]],
  ];
  for (const map of [primary, secondary, map38, map3a, extras]) {
    for (const entry of entriesOf(map)) {
      for (const [code64, addrs, stacks, opsizes] of kinds) {
        if (entry.flags.has(code64 ? "i64" : "o64")) continue;
        for (const addr of addrs) {
          for (const stack of stacks) {
            for (const opsize of opsizes) {
              for (const isMem of [false, true]) {
                for (const rep of entry.flags.has("rep") ? [0, 1, 2] : [0]) {
                  for (const asize of entry.name === "lea" ? [16, 32, 64] : [32]) {
                    const c: Context = { opsize, addr, stack, code64, isMem, rep, asize };
                    if (isMem && entry.flags.has("reg") || !isMem && entry.flags.has("mem")) continue;
                    const size = effectiveOpsize(entry, c);
                    if (
                      size === 64 && (entry.name === "div" || entry.name === "idiv") &&
                      entry.operands[0] === "Ev"
                    ) {
                      continue;
                    }
                    yield formOf(entry, c);
                    if (entry.otherwise) yield formOf(entry, c, entry.otherwise);
                  }
                }
              }
            }
          }
        }
      }
    }
  }
}
