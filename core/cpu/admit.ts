/**
 * What the processor's CPUID lets the MMU do.
 *
 * @module
 */
import type { PageWalker } from "../mmu/walk.ts";
import type { CpuidPolicy } from "./cpuid.ts";

/** What admits: the MMU, or a page walker by itself. */
type Admitted = Pick<
  PageWalker,
  "nx" | "pse" | "pse36" | "pge" | "pae" | "smep" | "smap" | "largePages1G" | "physAddrBits"
>;

/** Lets the MMU do what CPUID says, and nothing else. */
export function admit(mmu: Admitted, policy: CpuidPolicy): void {
  mmu.nx = policy.has("nx");
  mmu.pse = policy.has("pse");
  mmu.pse36 = policy.has("pse36");
  mmu.pge = policy.has("pge");
  mmu.pae = policy.has("pae");
  mmu.smep = policy.has("smep");
  mmu.smap = policy.has("smap");
  mmu.largePages1G = policy.has("pdpe1gb");
  mmu.physAddrBits = policy.physAddrBits;
}
