/**
 * A small WebAssembly module builder: just what the engines need (types, imports, functions, one table, and a memory
 * of any size imported as "env"."memory").
 *
 * Source: WebAssembly Core Specification 3.0, chapter 5 (Binary Format); typed tables from the function-references
 * proposal, tail calls from the tail-call proposal, both part of 3.0.
 *
 * @module
 */
import { Code } from "./code.ts";

/** Value types. */
export const I32 = 0x7f, I64 = 0x7e, F32 = 0x7d, F64 = 0x7c, V128 = 0x7b;
/** One of the value types. */
export type ValType = number;

/** A function body under construction: local declarations and instructions. */
export class FuncBody {
  readonly code: Code = new Code();
  /** Conditionals (offset of the `if` or `br_if` in `code`) whose condition hardly ever holds, or nearly always does. */
  hints: { at: number; likely: boolean }[] = [];
  readonly #locals: ValType[] = [];
  constructor(readonly params: readonly ValType[]) {}

  /** Declares a local; returns its index. */
  local(t: ValType): number {
    this.#locals.push(t);
    return this.params.length + this.#locals.length - 1;
  }

  /** Says of the conditional that is about to be emitted which way it goes. */
  hint(likely: boolean): void {
    this.hints.push({ at: this.code.length, likely });
  }

  /** Local declarations. */
  #declare(c: Code): void {
    const runs: [number, ValType][] = [];
    for (const t of this.#locals) {
      const last = runs[runs.length - 1];
      if (last && last[1] === t) last[0]++;
      else runs.push([1, t]);
    }
    c.u32(runs.length);
    for (const [n, t] of runs) {
      c.u32(n);
      c.u8(t);
    }
  }

  /**
   * Encodes declarations, instructions and the closing `end`, with the size in front, and gives the code's buffer up.
   * @returns bytes of the declarations, from whose start branch hints count
   */
  encode(into: Code): number {
    const declarations = new Code(), { code } = this;
    this.#declare(declarations);
    const { length } = declarations;
    into.u32(length + code.length + 1);
    into.append(declarations);
    into.append(code);
    into.u8(0x0b);
    declarations.release();
    code.release();
    return length;
  }
}

/** Collects the parts of a module and encodes it. */
export class ModuleBuilder {
  readonly #types: { params: readonly ValType[]; results: readonly ValType[] }[] = [];
  readonly #typeIndex = new Map<string, number>();
  readonly #imports: { module: string; name: string; type: number }[] = [];
  /** Types of the functions, their encoded bodies, and branch hints of so many of them. */
  readonly #funcs: number[] = [];
  readonly #bodies: Code = new Code();
  readonly #hints: Code = new Code();
  #hinted = 0;
  readonly #exports: { name: string; func: number }[] = [];
  /** What profilers and stack traces call the module; "": nothing. */
  name = "";
  /** Functions of the table, in order; set before `encode`. */
  tableFuncs: number[] = [];
  /** Further table entries, filled with the first function, for functions of other modules. The table is exported. */
  tableSpare = 0;
  /** Imports "env"."table" of this many entries instead of defining one; 0: no. */
  importTable = 0;
  /** Type of the table's entries (index from `type`), when there is a table. */
  tableType = -1;
  /** Least and most 64-KiB pages of the memory. Equal: it never moves, and its size need not be read again after calls. */
  memoryPages: [least: number, most: number] = [1, 65536];

  /** Index of a function type. */
  type(params: readonly ValType[], results: readonly ValType[]): number {
    const key = `${params}>${results}`, found = this.#typeIndex.get(key);
    if (found !== undefined) return found;
    this.#typeIndex.set(key, this.#types.length);
    return this.#types.push({ params, results }) - 1;
  }

  /** Imports "env".name; all imports come before the first `func`. Returns the function index. */
  import(name: string, params: readonly ValType[], results: readonly ValType[]): number {
    if (this.#funcs.length) throw new Error("Cannot import a function: functions are already defined");
    this.#imports.push({ module: "env", name, type: this.type(params, results) });
    return this.#imports.length - 1;
  }

  /** Defines a function by a finished body, which must not be used any more; returns its index. */
  func(params: readonly ValType[], results: readonly ValType[], body: FuncBody): number {
    const index = this.#imports.length + this.#funcs.push(this.type(params, results)) - 1;
    const before = body.encode(this.#bodies), { hints } = body;
    if (hints.length === 0) return index;
    this.#hinted++;
    this.#hints.u32(index);
    this.#hints.u32(hints.length);
    for (const h of hints) {
      this.#hints.u32(before + h.at);
      this.#hints.u8(1);
      this.#hints.u8(h.likely ? 1 : 0);
    }
    return index;
  }

  /** Exports a function. */
  export(name: string, func: number): void {
    this.#exports.push({ name, func });
  }

  /** The module's bytes. */
  encode(): Uint8Array {
    const out = new Code();
    out.raw([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    const section = (id: number, fill: (c: Code) => void) => {
      const c = new Code();
      fill(c);
      out.u8(id);
      out.u32(c.length);
      out.append(c);
      c.release();
    };
    section(1, (c) => {
      c.u32(this.#types.length);
      for (const t of this.#types) {
        c.u8(0x60);
        c.u32(t.params.length);
        c.raw(t.params);
        c.u32(t.results.length);
        c.raw(t.results);
      }
    });
    section(2, (c) => {
      c.u32(this.#imports.length + (this.importTable ? 2 : 1));
      if (this.importTable) {
        c.name("env");
        c.name("table");
        c.raw([1, 0x64]);
        c.s32(this.tableType);
        c.u8(1);
        c.u32(this.importTable);
        c.u32(this.importTable);
      }
      for (const i of this.#imports) {
        c.name(i.module);
        c.name(i.name);
        c.u8(0);
        c.u32(i.type);
      }
      c.name("env");
      c.name("memory");
      c.raw([2, 1]);
      c.u32(this.memoryPages[0]);
      c.u32(this.memoryPages[1]);
    });
    section(3, (c) => {
      c.u32(this.#funcs.length);
      for (const type of this.#funcs) c.u32(type);
    });
    if (this.tableFuncs.length) this.#encodeTable(section);
    section(7, (c) => {
      c.u32(this.#exports.length + (this.tableFuncs.length ? 1 : 0));
      if (this.tableFuncs.length) {
        c.name("table");
        c.raw([1, 0]);
      }
      for (const e of this.#exports) {
        c.name(e.name);
        c.u8(0);
        c.u32(e.func);
      }
    });
    if (this.tableFuncs.length) this.#encodeElements(section);
    this.#encodeHints(section);
    section(10, (c) => {
      c.u32(this.#funcs.length);
      c.append(this.#bodies);
    });
    if (this.name !== "") this.#encodeName(section);
    return out.view().slice();
  }

  /** Source: the branch hinting proposal. Engines put the unlikely side out of the way and keep registers clear of it. */
  #encodeHints(section: (id: number, fill: (c: Code) => void) => void): void {
    if (this.#hinted === 0) return;
    section(0, (c) => {
      c.name("metadata.code.branch_hint");
      c.u32(this.#hinted);
      c.append(this.#hints);
    });
  }

  /** Custom section "name", subsection 0: the module's name. */
  #encodeName(section: (id: number, fill: (c: Code) => void) => void): void {
    const name = new Code();
    name.name(this.name);
    section(0, (c) => {
      c.name("name");
      c.u8(0);
      c.u32(name.length);
      c.append(name);
    });
  }

  /** A table of non-null typed references: calls through it need neither a null nor a signature check. */
  #encodeTable(section: (id: number, fill: (c: Code) => void) => void): void {
    section(4, (c) => {
      c.u32(1);
      c.raw([0x40, 0x00, 0x64]); // table with initialiser; (ref $type)
      c.s32(this.tableType);
      c.u8(1);
      c.u32(this.tableFuncs.length + this.tableSpare);
      c.u32(this.tableFuncs.length + this.tableSpare);
      c.u8(0xd2); // ref.func
      c.u32(this.tableFuncs[0]);
      c.u8(0x0b);
    });
  }

  #encodeElements(section: (id: number, fill: (c: Code) => void) => void): void {
    section(9, (c) => {
      c.u32(1);
      c.raw([6, 0, 0x41, 0, 0x0b, 0x64]); // active, table 0, offset 0, expressions of (ref $type)
      c.s32(this.tableType);
      c.u32(this.tableFuncs.length);
      for (const f of this.tableFuncs) {
        c.u8(0xd2);
        c.u32(f);
        c.u8(0x0b);
      }
    });
  }
}
