/**
 * The functions every engine module shares: slow memory paths, segment arithmetic, continuing at an address.
 *
 * @module
 */
import * as L from "../layout.ts";
import { FuncBody, I32, I64, type ModuleBuilder, type ValType } from "../wasm/module.ts";
import * as X from "../wasm/expr.ts";
import {
  Emit,
  type Helper,
  type Runtime,
  SF_COMPILED,
  SF_PROBE,
  SF_REC_SEG,
  SF_RMW,
  SF_STACK,
} from "./emit.ts";
import { REC } from "./insn.ts";
import { Leave } from "./leave.ts";
import { SlowFlag } from "./slow.ts";
import { Attr, Seg } from "./state.ts";

/** What a violated segment check turns into: non-canonical, so the slow path raises the fault. */
const VIOLATION = X.c64w(0, 0x8000_0000);

/** Names of the functions an engine module imports from "env", besides the memory. */
export interface EngineImports {
  /** See `Mmu.slowLoad`: (size in bytes, flags) -> host offset, 0 on failure. */
  slowLoad(size: number, flags: number): number;
  slowStore(size: number, flags: number): number;
  commitStore(): void;
  /** Segment checks off the fast path: (segment offset, offset, size flags) -> 1 allowed, 0 violation. */
  segmentCheck(seg: number, offset: number, sizeFlags: number): number;
}

/** Runtime functions that compiled code imports from the interpreter's module, with their types. */
export const RUNTIME_EXPORTS = [
  "slowLoad",
  "slowStore",
  "commitStore",
  "goto",
  "outOfBudget",
  "left",
  "short",
  "segLinear",
  "generalEa",
  "getIndex",
  "addIndex",
] as const;
const RUNTIME_TYPES: Record<(typeof RUNTIME_EXPORTS)[number], [ValType[], ValType[]]> = {
  slowLoad: [[I64, I32, I32, I32], [I32]],
  slowStore: [[I64, I32, I32, I32], [I32]],
  commitStore: [[], []],
  goto: [[I64, I32, I32], []],
  outOfBudget: [[I32, I32], []],
  left: [[I32, I32], []],
  short: [[I32, I32], []],
  segLinear: [[I32, I64, I32], [I64]],
  generalEa: [[I32, I32], [I64]],
  getIndex: [[I32, I32], [I64]],
  addIndex: [[I32, I32, I32], []],
};

/** Makes helpers in a module, each once. */
function helpersOf(m: ModuleBuilder, rt: Runtime): (h: Helper) => number {
  const made = new Map<string, number>();
  return (h) => {
    let index = made.get(h.key);
    if (index === undefined) {
      const body = new FuncBody(h.params);
      h.fill(new Emit(rt, body), h.params.map((t, i) => X.local(t, i)));
      made.set(h.key, index = m.func(h.params, h.results, body));
    }
    return index;
  };
}

/** Declares the runtime as imports, for a module of compiled code. */
export function importRuntime(m: ModuleBuilder): Runtime {
  const rt = { handlerType: m.type([I32, I32], []) } as Runtime;
  for (const name of RUNTIME_EXPORTS) rt[name] = m.import(name, ...RUNTIME_TYPES[name]);
  rt.helper = helpersOf(m, rt);
  return rt;
}

/** Declares imports and builds the shared functions. Must run before any other function is defined. */
export function buildRuntime(m: ModuleBuilder): Runtime {
  const slowLoad = m.import("slowLoad", [I32, I32], [I32]);
  const slowStore = m.import("slowStore", [I32, I32], [I32]);
  const commitStore = m.import("commitStore", [], []);
  const segmentCheck = m.import("segmentCheck", [I32, I32, I32], [I32]);
  const rt: Runtime = {
    slowLoad: 0,
    slowStore: 0,
    commitStore,
    goto: 0,
    outOfBudget: 0,
    left: 0,
    short: 0,
    segLinear: 0,
    generalEa: 0,
    getIndex: 0,
    addIndex: 0,
    handlerType: m.type([I32, I32], []),
    helper: () => 0,
  };
  rt.helper = helpersOf(m, rt);
  const def = (params: ValType[], results: ValType[], fill: (e: Emit, p: X.Expr[]) => void): number => {
    const body = new FuncBody(params);
    fill(new Emit(rt, body), params.map((t, i) => X.local(t, i)));
    return m.func(params, results, body);
  };
  const slow = (imported: number) =>
    def([I64, I32, I32, I32], [I32], (e, [la, sf, rec, bud]) => {
      e.setState(64, L.SLOW_ADDR, la);
      const isSs = X.eq(X.load(8, rec, REC.SEG), X.c32(Seg.SS * L.SEG_SIZE));
      const stack = X.or(
        X.ne(X.and(sf, X.c32(SF_STACK)), X.c32(0)),
        X.and(isSs, X.ne(X.and(sf, X.c32(SF_REC_SEG)), X.c32(0))),
      );
      const rmw = X.ne(X.and(sf, X.c32(SF_RMW)), X.c32(0));
      const moved = (bit: number, flag: number): X.Expr =>
        X.and(X.shrU(sf, X.c32(Math.log2(bit / flag))), X.c32(flag));
      const kind = X.or(moved(SF_COMPILED, SlowFlag.COMPILED), moved(SF_PROBE, SlowFlag.PROBE));
      const flags = X.or(X.or(rmw, X.shl(stack, X.c32(1))), kind);
      // Where a failed access leaves, and for whoever looks on at the others, where they are.
      e.setState(32, L.LEAVE_REC, rec);
      e.setState(32, L.BUDGET, bud);
      e.push(X.callX(I32, imported, X.and(sf, X.c32(0xff)), flags));
    });
  rt.slowLoad = slow(slowLoad);
  rt.slowStore = slow(slowStore);
  rt.outOfBudget = def([I32, I32], [], (e, [rec, bud]) => {
    e.setState(32, L.LEAVE, X.c32(Leave.BUDGET));
    e.setState(32, L.LEAVE_REC, rec);
    e.setState(32, L.BUDGET, X.add(bud, X.load(32, X.sub(rec, X.c32(4)))));
  });
  rt.short = def([I32, I32], [], (e, [rec, bud]) => {
    e.unlikely(X.ltS(bud, X.c32(0)), () => e.tailCall(rt.outOfBudget, rec, bud));
    e.dispatch(rec, bud, X.load(16, X.sub(rec, X.c32(8))));
  });
  rt.left = def([I32, I32], [], (e, [rec, bud]) => {
    // By its own handler: the record's may be the region's entry, and of two accesses that take each other's TLB entry
    // away each would come back here for ever.
    const retry = X.eq(e.state(32, L.LEAVE), X.c32(Leave.RETRY));
    e.unlikely(retry, () => e.dispatch(rec, bud, X.load(16, rec, REC.FORM)));
  });
  rt.goto = def([I64, I32, I32], [], defineGoto(rt));
  rt.segLinear = def(
    [I32, I64, I32],
    [I64],
    (e, [seg, off, sf]) => defineSegLinear(e, seg, off, sf, segmentCheck),
  );
  rt.getIndex = def([I32, I32], [I64], (e, [reg, asize]) => {
    const bits = X.shl(X.extU(asize), X.c64(3));
    e.push(X.and(X.load(64, reg, L.GPR), X.shrU(X.c64(-1), X.sub(X.c64(64), bits))));
  });
  rt.addIndex = def([I32, I32, I32], [], (e, [reg, asize, delta]) => {
    const sum = e.let(X.add(X.load(64, reg, L.GPR), X.extS(delta)));
    e.if(X.eq(asize, X.c32(2)), () => e.store(16, reg, X.wrap(sum), L.GPR), () => {
      e.if(
        X.eq(asize, X.c32(4)),
        () => e.store(64, reg, X.extU(X.wrap(sum)), L.GPR),
        () => e.store(64, reg, sum, L.GPR),
      );
    });
  });
  rt.generalEa = def([I32, I32], [I64], (e, [rec, sf]) => {
    const base = X.load(64, X.load(8, rec, REC.BASE), L.GPR),
      index = X.load(64, X.load(8, rec, REC.INDEX), L.GPR);
    const scaled = X.shl(index, X.extU(X.load(8, rec, REC.SCALE)));
    const sum = X.add(X.add(base, X.load(64, rec, REC.DISP)), scaled);
    const bits = X.shl(X.extU(X.load(8, rec, REC.ADDRSIZE)), X.c64(3));
    const masked = X.and(sum, X.shrU(X.c64(-1), X.sub(X.c64(64), bits)));
    e.push(X.callX(I64, rt.segLinear, X.load(8, rec, REC.SEG), masked, sf));
  });
  return rt;
}

/** Byte offset in a jump cache of the entry for a RIP (in a local): `jumpCacheOffset`. */
export function jumpCachePlace(rip: X.Expr): X.Expr {
  const lo = X.wrap(rip), mixed = X.xor(X.shrU(lo, X.c32(4)), X.shl(lo, X.c32(12)));
  const index = X.xor(mixed, X.wrap(X.shrU(rip, X.c64(20))));
  return X.shl(X.and(index, X.c32(L.JUMP_CACHE_ENTRIES - 1)), X.c32(4));
}

/** Links a direct branch to the block it goes to, as `linkBranch` in `block_links.ts` does. */
function defineLink(e: Emit, rip: X.Expr, slot: X.Expr, t: X.Expr): void {
  const branch = e.let(X.sub(slot, X.and(slot, X.c32(4))));
  const inPage = X.ltU(
    X.xor(X.wrap(rip), X.load(32, X.sub(branch, X.c32(REC.DISP - REC.RIP_LO)))),
    X.c32(0x1000),
  );
  const high = X.eq(X.wrap(X.shrU(rip, X.c64(32))), X.load(32, branch, REC.RIP_HI - REC.DISP));
  e.if(X.and(inPage, high), () => e.store(32, slot, t));
}

/** Looks a RIP up in the jump cache; continues there, or leaves for the dispatcher to find it. */
function defineGoto(rt: Runtime): (e: Emit, p: X.Expr[]) => void {
  return (e, [rip, bud, slot]) => {
    const entry = e.let(X.add(jumpCachePlace(rip), e.state(32, L.JC_BASE)));
    const hit = X.and(
      X.eq(X.load(64, entry), rip),
      X.eq(X.load(32, entry, 12), e.state(32, L.MODE)),
    );
    e.if(hit, () => {
      const t = e.let(X.load(32, entry, 8));
      e.unlikely(slot, () => defineLink(e, rip, slot, t));
      const left = e.let(X.sub(bud, X.load(32, X.sub(t, X.c32(4)))));
      e.unlikely(X.ltS(left, X.c32(0)), () => e.tailCall(rt.outOfBudget, t, left));
      e.push(t);
      e.push(left);
      e.push(X.load(16, t));
      e.body.code.raw([0x13]);
      e.body.code.u32(rt.handlerType);
      e.body.code.u8(0);
    });
    e.setState(64, L.RIP, rip);
    e.setState(32, L.LINK_SLOT, slot);
    e.setState(32, L.BUDGET, bud);
    e.setState(32, L.LEAVE, X.c32(Leave.LOOKUP));
  };
}

/** Segment base plus offset, with the limit and type checks of legacy modes (SDM volume 3, chapter 5). */
function defineSegLinear(e: Emit, seg: X.Expr, off: X.Expr, sf: X.Expr, check: number): void {
  const base = X.load(64, seg, L.SEG + L.SEG_BASE);
  e.if(X.eq(X.and(e.state(32, L.MODE), X.c32(3)), X.c32(2)), () => {
    // 64-bit code: only FS and GS have a base.
    e.push(X.add(off, X.select(X.geU(seg, X.c32(Seg.FS * L.SEG_SIZE)), base, X.c64(0))));
    e.ret();
  });
  const attr = e.let(X.load(32, seg, L.SEG + L.SEG_ATTR));
  const last = X.add(off, X.extU(X.sub(X.and(sf, X.c32(0xff)), X.c32(1))));
  const kind = X.and(attr, X.c32(Attr.UNUSABLE | Attr.P | Attr.CODE | Attr.EXPAND_DOWN | Attr.WRITABLE));
  const plain = X.and(
    X.eq(kind, X.c32(Attr.P | Attr.WRITABLE)),
    X.leU(last, X.extU(X.load(32, seg, L.SEG + L.SEG_LIMIT))),
  );
  e.if(X.eqz(plain), () => {
    e.if(X.eqz(X.callX(I32, check, seg, X.wrap(off), sf)), () => {
      e.push(VIOLATION);
      e.ret();
    });
  });
  e.push(X.and(X.add(base, off), X.c64w(-1, 0)));
}
