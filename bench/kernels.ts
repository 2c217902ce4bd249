/**
 * The benchmark kernels: what each is made of and what it measures. Sources are in bench/guests/.
 *
 * @module
 */

/** Kinds of kernels; the targets are stated for some of them. */
export type Group = "compute" | "memory" | "float" | "exits" | "system" | "awkward";

/** Width of a guest's code in bits. */
export type Bits = 32 | 64;

/** One workload. */
export interface Kernel {
  name: string;
  group: Group;
  /** What it does, for people. */
  about: string;
  source: string;
  /** Rounds per repetition: `ROUNDS` in the source. */
  rounds: number;
  /** Further options of gcc. */
  flags?: string[];
  /** What one round does where time per round is of interest: "INT + IRET"; left out: only instructions count. */
  unit?: string;
  /** Only machines with Xen's hypercalls can run it. */
  xen?: boolean;
}

const SSE2 = ["-msse2", "-mfpmath=sse"];
const X87 = ["-mfpmath=387"];

/** All workloads. */
export const KERNELS: readonly Kernel[] = [
  { name: "mix", group: "compute", about: "list, matrix, state machine, CRC", source: "mix.c", rounds: 200 },
  { name: "sieve", group: "compute", about: "sieve of Eratosthenes", source: "sieve.c", rounds: 12 },
  { name: "integer", group: "compute", about: "arithmetic in registers", source: "integer.c", rounds: 18000 },
  { name: "crc", group: "compute", about: "CRC-32 by table", source: "crc.c", rounds: 100 },
  { name: "recursion", group: "compute", about: "calls and returns", source: "recursion.c", rounds: 20 },
  { name: "sort", group: "compute", about: "quicksort and heapsort", source: "sort.c", rounds: 5 },
  { name: "bytecode", group: "compute", about: "bytecode interpreter", source: "bytecode.c", rounds: 8000 },
  { name: "memcpy", group: "memory", about: "REP MOVS and STOS", source: "memcpy.c", rounds: 100 },
  {
    name: "memcpy-loop",
    group: "memory",
    about: "copies word by word",
    source: "memcpy.c",
    rounds: 100,
    flags: ["-DWORDS"],
  },
  {
    name: "chase",
    group: "memory",
    about: "pointer chase through 2 to 4 MiB",
    source: "chase.c",
    rounds: 4000000,
  },
  {
    name: "adjacent",
    group: "memory",
    about: "two arrays side by side",
    source: "alias.c",
    rounds: 200,
    flags: ["-DDISTANCE=0x10000"],
  },
  {
    name: "apart",
    group: "memory",
    about: "two arrays 1 MiB apart",
    source: "alias.c",
    rounds: 200,
    flags: ["-DDISTANCE=0x100000"],
  },
  {
    name: "mandelbrot-sse2",
    group: "float",
    about: "Mandelbrot set, scalar doubles",
    source: "mandelbrot.c",
    rounds: 10,
    flags: SSE2,
  },
  {
    name: "mandelbrot-x87",
    group: "float",
    about: "Mandelbrot set, x87",
    source: "mandelbrot.c",
    rounds: 3,
    flags: X87,
  },
  {
    name: "simd",
    group: "float",
    about: "SSE2 integers and floats",
    source: "simd.c",
    rounds: 300,
    flags: SSE2,
  },
  {
    name: "interrupt",
    group: "system",
    about: "INT and IRET in ring 0",
    source: "interrupt.c",
    rounds: 300000,
    unit: "INT + IRET",
  },
  {
    name: "syscall-int",
    group: "system",
    about: "INT 0x80 from ring 3",
    source: "syscall_int.c",
    rounds: 300000,
    unit: "INT 0x80 + IRET",
  },
  {
    name: "syscall-fast",
    group: "system",
    about: "SYSENTER (64-bit: SYSCALL) from ring 3",
    source: "syscall_fast.c",
    rounds: 500000,
    unit: "SYSENTER + SYSEXIT",
  },
  {
    name: "page-switch",
    group: "system",
    about: "CR3 writes and a few accesses",
    source: "page_switch.c",
    rounds: 200000,
    unit: "CR3 write",
  },
  { name: "port", group: "exits", about: "IN and OUT", source: "port.c", rounds: 400000, unit: "IN or OUT" },
  { name: "cpuid", group: "exits", about: "CPUID", source: "cpuid.c", rounds: 300000, unit: "CPUID" },
  {
    name: "hypercall",
    group: "exits",
    about: "Xen hypercalls",
    source: "hypercall.c",
    rounds: 200000,
    unit: "hypercall",
    xen: true,
  },
  {
    name: "self-modify",
    group: "awkward",
    about: "patch and call",
    source: "self_modify.c",
    rounds: 100000,
    unit: "patch + call",
  },
  {
    name: "cold",
    group: "awkward",
    about: "20,000 different functions in turn",
    source: "cold.c",
    rounds: 20,
  },
];
