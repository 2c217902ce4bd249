/**
 * The interpreter: one generated WebAssembly function per instruction form, each ending in a tail call to the next
 * record's handler.
 *
 * @module
 */
import { Emit, type Runtime } from "./emit.ts";
import { type Form, formKey, type Semantic } from "./form.ts";
import { type FusedNode, fuseSequences } from "./fuse.ts";
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
  /** Runs of instructions that have a handler together, by the first one's own handler. */
  fused: FusedNode["next"];
  /** First table entry for compiled code. */
  slots: number;
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

/** What `Interpreter` says of handlers. */
type Built = Pick<Interpreter, "handlers" | "forms" | "fused" | "slots">;

/** Builds the module for a set of forms. The bytes, and which handler is which, depend on the arguments only. */
export function buildInterpreter(
  forms: Iterable<Form>,
  variant: Variant = PLAIN,
): Built & { bytes: Uint8Array } {
  const m = new ModuleBuilder();
  m.name = "interpreter";
  m.memoryPages = [RAM >>> 16, 65536];
  const rt = buildRuntime(m);
  variant.prepare?.(m, rt);
  const handlers = new Map<string, number>(), kept: Form[] = [];
  const add = (body: FuncBody) => m.tableFuncs.push(m.func([I32, I32], [], body)) - 1;
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
    add(body);
  }
  const fused = variant === PLAIN
    ? fuseSequences(rt, kept, (make) => add(make(m.tableFuncs.length)))
    : new Map();
  m.tableType = rt.handlerType;
  m.tableSpare = JIT_SLOTS;
  for (const name of RUNTIME_EXPORTS) m.export(name, rt[name]);
  const run = new FuncBody([I32, I32]);
  const e = new Emit(rt, run);
  e.push(e.rec);
  e.push(e.bud);
  e.push(X.load(16, e.rec));
  run.code.u8(0x13);
  run.code.u32(rt.handlerType);
  run.code.u8(0);
  m.export("run", m.func([I32, I32], [], run));
  return { bytes: m.encode(), handlers, forms: kept, fused, slots: m.tableFuncs.length };
}

const known = new Map<string, Built & { module: WebAssembly.Module }>();

/** Instantiates an interpreter on a memory. Its module is built and compiled once for each process. */
export function createInterpreter(
  forms: () => Iterable<Form>,
  memory: WebAssembly.Memory,
  imports: EngineImports,
  variant: Variant = PLAIN,
): Interpreter {
  let compiled = known.get(variant.name);
  if (!compiled) {
    const { bytes, ...built } = buildInterpreter(forms(), variant);
    compiled = { ...built, module: new WebAssembly.Module(bytes as BufferSource) };
    known.set(variant.name, compiled);
  }
  const instance = new WebAssembly.Instance(compiled.module, {
    env: { memory, ...imports } as unknown as WebAssembly.ModuleImports,
  });
  return {
    run: instance.exports.run as Interpreter["run"],
    handlers: compiled.handlers,
    forms: compiled.forms,
    fused: compiled.fused,
    slots: compiled.slots,
    table: instance.exports.table as WebAssembly.Table,
    runtime: instance.exports,
  };
}
