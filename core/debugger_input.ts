/**
 * What a debugger writes into a running machine: inputs of kind "debugger", recorded and replayed like any other.
 *
 * Target "memory": the payload is a guest-physical address (8 bytes, little-endian) and the bytes from there on, inside
 * one page. Target "v0.rax": a register of vCPU 0, the payload its little-endian bytes, as many as are to change.
 *
 * @module
 */
import type { Cpu } from "./cpu/cpu.ts";
import * as L from "./layout.ts";
import { PAGE_SIZE, type PhysMem } from "./mmu/physmem.ts";
import type { VcpuSet } from "./vcpus.ts";

/** Target of writes to guest-physical memory. */
export const DEBUGGER_MEMORY = "memory";

const GENERAL = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split(" ");
/** Flags that can be changed: all but VM, RF and the virtual interrupt flags. */
const FLAGS_CHANGED = 0x24_7fd5;

type Place = readonly [at: number, bytes: number];
/** Place in the state and size of each register that can be written by copying bytes. */
const PLACES: ReadonlyMap<string, Place> = new Map<string, Place>([
  ...GENERAL.map((name, i) => [name, [L.GPR + i * 8, 8]] as const),
  ...Array.from({ length: 16 }, (_, i) => [`xmm${i}`, [L.XMM + i * 16, 16]] as const),
  ["rip", [L.RIP, 8]],
]);

/** Names of the registers that a debugger can write. */
export const DEBUGGER_REGISTERS: ReadonlySet<string> = new Set([...PLACES.keys(), "eflags"]);

/** The parts of a machine that are written to. */
interface Written {
  readonly cpu: Cpu;
  readonly vcpus: VcpuSet;
  readonly mem: PhysMem;
}

/** Applies a write; one that makes no sense changes nothing. */
export function applyDebuggerInput(m: Written, target: string, payload: Uint8Array): void {
  if (target === DEBUGGER_MEMORY) return writeMemory(m.mem, payload);
  const [, vcpu, name] = /^v(\d{1,3})\.([a-z0-9]{1,8})$/.exec(target) ?? [];
  const id = Number(vcpu), { vcpus, cpu } = m;
  if (name === undefined || vcpus.all[id] === undefined) return;
  if (id === vcpus.active) writeRegister(cpu, name, payload);
  else {
    const active = vcpus.active;
    vcpus.park();
    vcpus.unpark(id);
    writeRegister(cpu, name, payload);
    vcpus.park();
    vcpus.unpark(active);
  }
  vcpus.interruptsChanged();
}

function writeMemory(mem: PhysMem, payload: Uint8Array): void {
  if (payload.length < 9) return;
  const v = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const gpa = v.getUint32(4, true) * 0x1_0000_0000 + v.getUint32(0, true), bytes = payload.subarray(8);
  if (gpa % PAGE_SIZE + bytes.length > PAGE_SIZE) return;
  mem.write(gpa, bytes, true);
}

function writeRegister(cpu: Cpu, name: string, value: Uint8Array): void {
  const { s } = cpu;
  if (name === "eflags" && value.length >= 4) {
    const flags = value[0] | value[1] << 8 | value[2] << 16;
    s.flags = s.flags & ~FLAGS_CHANGED | flags & FLAGS_CHANGED;
    return;
  }
  const place = PLACES.get(name);
  if (place === undefined || value.length === 0 || value.length > place[1]) return;
  const before = s.u8.slice(place[0], place[0] + place[1]);
  s.u8.set(value, place[0]);
  if (name !== "rip") return;
  const rip = s.rip;
  if (s.code64 ? rip < -(2 ** 47) || rip >= 2 ** 47 : rip < 0 || rip >= 2 ** 32) s.u8.set(before, place[0]);
  // A branch that was just taken leads elsewhere now: it must not be remembered as leading here.
  s.i32[L.LINK_SLOT >> 2] = 0;
}
