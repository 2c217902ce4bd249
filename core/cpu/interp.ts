/**
 * The interpreter: one generated WebAssembly function per instruction form, each ending in a tail call to the next
 * record's handler.
 *
 * @module
 */
import { Emit, type Runtime } from "./emit.ts";
import { type Form, formKey, type Semantic } from "./form.ts";
import { buildRuntime, type EngineImports, RUNTIME_EXPORTS } from "./runtime.ts";
import { SEMANTICS } from "./semantics/mod.ts";
import { FuncBody, I32, ModuleBuilder } from "../wasm/module.ts";
import * as X from "../wasm/expr.ts";
import { RAM } from "../layout.ts";

/** The instantiated interpreter. */
export interface Interpreter {
  /** Runs from a record with a budget that already paid for its block. */
  run(rec: number, budget: number): void;
  /** Handler index of a form, by its key. */
  handlers: Map<string, number>;
  /** Form of each handler. */
  forms: readonly Form[];
  /** All handlers, then room for compiled code. */
  table: WebAssembly.Table;
  /** Exports of the shared runtime functions, by name, for compiled code to import. */
  runtime: WebAssembly.Exports;
}

/** Table entries for compiled code. */
export const JIT_SLOTS = 32768;

/** A kind of interpreter: the semantics over another `Emit`. */
export interface Variant {
  /** Identifies it: variants of one name are equal. */
  name: string;
  /** Defines what the handlers need besides the runtime. */
  prepare?(m: ModuleBuilder, rt: Runtime): void;
  /** The `Emit` of one handler. */
  emit(rt: Runtime, body: FuncBody): Emit;
}
/** The interpreter that just executes. */
const PLAIN: Variant = { name: "", emit: (rt, body) => new Emit(rt, body) };

/** Builds the module for a set of forms. The bytes, and which handler is which, depend on the arguments only. */
export function buildInterpreter(forms: Iterable<Form>, variant: Variant = PLAIN): {
  bytes: Uint8Array;
  handlers: Map<string, number>;
  forms: Form[];
} {
  const m = new ModuleBuilder();
  m.memoryPages = [RAM >>> 16, 65536];
  const rt = buildRuntime(m);
  variant.prepare?.(m, rt);
  const handlers = new Map<string, number>(), kept: Form[] = [];
  for (const f of forms) {
    const key = formKey(f);
    if (handlers.has(key)) continue;
    const semantic: Semantic | undefined = SEMANTICS[f.name];
    if (!semantic) throw new Error(`Cannot build the interpreter: no semantics for form ${key}`);
    const body = new FuncBody([I32, I32]);
    const emit = variant.emit(rt, body);
    emit.begin(f);
    semantic(emit, f);
    handlers.set(key, m.tableFuncs.length);
    kept.push(f);
    m.tableFuncs.push(m.func([I32, I32], [], body));
  }
  m.tableType = rt.handlerType;
  m.tableSpare = JIT_SLOTS;
  for (const name of RUNTIME_EXPORTS) m.export(name, rt[name]);
  const run = new FuncBody([I32, I32]);
  const e = new Emit(rt, run);
  e.push(e.rec);
  e.push(e.bud);
  e.push(X.load(32, e.rec));
  run.code.u8(0x13);
  run.code.u32(rt.handlerType);
  run.code.u8(0);
  m.export("run", m.func([I32, I32], [], run));
  return { bytes: m.encode(), handlers, forms: kept };
}

const known = new Map<string, { module: WebAssembly.Module; handlers: Map<string, number>; forms: Form[] }>();

/** Instantiates an interpreter on a memory. Its module is built and compiled once for each process. */
export function createInterpreter(
  forms: () => Iterable<Form>,
  memory: WebAssembly.Memory,
  imports: EngineImports,
  variant: Variant = PLAIN,
): Interpreter {
  let compiled = known.get(variant.name);
  if (!compiled) {
    const { bytes, handlers, forms: kept } = buildInterpreter(forms(), variant);
    compiled = { module: new WebAssembly.Module(bytes as BufferSource), handlers, forms: kept };
    known.set(variant.name, compiled);
  }
  const instance = new WebAssembly.Instance(compiled.module, {
    env: { memory, ...imports } as unknown as WebAssembly.ModuleImports,
  });
  return {
    run: instance.exports.run as Interpreter["run"],
    handlers: compiled.handlers,
    forms: compiled.forms,
    table: instance.exports.table as WebAssembly.Table,
    runtime: instance.exports,
  };
}
