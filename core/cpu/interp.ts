/**
 * The interpreter: one generated WebAssembly function per instruction form, each ending in a tail call to the next
 * record's handler.
 *
 * @module
 */
import { Emit } from "./emit.ts";
import { type Form, formKey, type Semantic } from "./form.ts";
import { buildRuntime, type EngineImports } from "./runtime.ts";
import { SEMANTICS } from "./semantics/mod.ts";
import { FuncBody, I32, ModuleBuilder } from "../wasm/module.ts";
import * as X from "../wasm/expr.ts";

/** The instantiated interpreter. */
export interface Interpreter {
  /** Runs from a record with a budget that already paid for its block. */
  run(rec: number, budget: number): void;
  /** Handler index of a form, by its key. */
  handlers: Map<string, number>;
}

/** Builds the module for a set of forms. The bytes depend on the forms only. */
export function buildInterpreter(forms: Iterable<Form>): {
  bytes: Uint8Array;
  handlers: Map<string, number>;
} {
  const m = new ModuleBuilder();
  const rt = buildRuntime(m);
  const handlers = new Map<string, number>();
  for (const f of forms) {
    const key = formKey(f);
    if (handlers.has(key)) continue;
    const semantic: Semantic | undefined = SEMANTICS[f.name];
    if (!semantic) throw new Error(`Cannot build the interpreter: no semantics for form ${key}`);
    const body = new FuncBody([I32, I32]);
    semantic(new Emit(rt, body), f);
    handlers.set(key, m.tableFuncs.length);
    m.tableFuncs.push(m.func([I32, I32], [], body));
  }
  m.tableType = rt.handlerType;
  const run = new FuncBody([I32, I32]);
  const e = new Emit(rt, run);
  e.push(e.rec);
  e.push(e.bud);
  e.push(X.load(32, e.rec));
  run.code.u8(0x13);
  run.code.u32(rt.handlerType);
  run.code.u8(0);
  m.export("run", m.func([I32, I32], [], run));
  return { bytes: m.encode(), handlers };
}

let compiled: { module: WebAssembly.Module; handlers: Map<string, number> } | null = null;

/** Instantiates the interpreter on a memory. The module is built and compiled once for each process. */
export function createInterpreter(
  forms: () => Iterable<Form>,
  memory: WebAssembly.Memory,
  imports: EngineImports,
): Interpreter {
  if (!compiled) {
    const built = buildInterpreter(forms());
    compiled = { module: new WebAssembly.Module(built.bytes as BufferSource), handlers: built.handlers };
  }
  const instance = new WebAssembly.Instance(compiled.module, {
    env: { memory, ...imports } as unknown as WebAssembly.ModuleImports,
  });
  return { run: instance.exports.run as Interpreter["run"], handlers: compiled.handlers };
}
