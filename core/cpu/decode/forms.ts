/**
 * Every instruction form there can be: what the interpreter has handlers for.
 *
 * @module
 */
import type { AddrKind, Form } from "../form.ts";
import { type Context, effectiveOpsize, entriesOf, formOf, STACK_USERS } from "./entry.ts";
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
      if (entry.name === "sys" && !entry.otherwise) continue;
      // What does not matter to the form need not be varied.
      const rep = entry.flags.has("rep"), always = rep || entry.operands.some((o) => /^[MO]/.test(o));
      const onStack = STACK_USERS.has(entry.name) || STACK_USERS.has(entry.otherwise);
      for (const [code64, addrs, stacks, opsizes] of kinds) {
        if (entry.flags.has(code64 ? "i64" : "o64")) continue;
        for (const addr of addrs) {
          for (const stack of stacks) {
            if (!onStack && stack !== stacks[0]) continue;
            for (const opsize of opsizes) {
              for (const isMem of entry.hasModrm ? [false, true] : [false]) {
                if (!isMem && !always && addr !== addrs[0]) continue;
                for (const prefix of rep ? [0, 1, 2] : [0]) {
                  for (const asize of entry.name === "lea" ? [16, 32, 64] : [32]) {
                    const c: Context = { opsize, addr, stack, code64, isMem, rep: prefix, asize };
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
