/**
 * HVM parameters: values that builder, guest and Xen leave for each other.
 *
 * Source: Xen 4.17 hvm/params.h; who may read and set what, as Xen enforces it for a guest on itself.
 *
 * @module
 */
import type { Json } from "../bus.ts";
import { CONSOLE_GFN, CONSOLE_PORT, Errno, HVM_NR_PARAMS, IDENT_PT_GFN, Param } from "./abi.ts";
import { STORE_GFN, STORE_PORT } from "./abi.ts";
import type { Word64 } from "./host.ts";

const READABLE = new Set<number>([
  Param.CALLBACK_IRQ,
  Param.VM86_TSS,
  Param.VM86_TSS_SIZED,
  Param.ACPI_IOPORTS_LOCATION,
  Param.VM_GENERATION_ID_ADDR,
  Param.STORE_PFN,
  Param.STORE_EVTCHN,
  Param.CONSOLE_PFN,
  Param.CONSOLE_EVTCHN,
  Param.ALTP2M,
  Param.X87_FIP_WIDTH,
]);
const SETTABLE = new Set<number>([
  Param.CALLBACK_IRQ,
  Param.VM86_TSS,
  Param.VM86_TSS_SIZED,
  Param.ACPI_IOPORTS_LOCATION,
  Param.VM_GENERATION_ID_ADDR,
  Param.STORE_EVTCHN,
  Param.CONSOLE_EVTCHN,
  Param.X87_FIP_WIDTH,
]);
const DEPRECATED = new Set<number>([
  Param.PAE_ENABLED,
  Param.DM_DOMAIN,
  Param.MEMORY_EVENT_CR0,
  Param.MEMORY_EVENT_CR3,
  Param.MEMORY_EVENT_CR4,
  Param.MEMORY_EVENT_INT3,
  Param.NESTEDHVM,
  Param.MEMORY_EVENT_SINGLE_STEP,
  Param.BUFIOREQ_EVTCHN,
  Param.MEMORY_EVENT_MSR,
]);

/** Size of a 32-bit TSS, and the largest useful size with both bitmaps. */
const TSS32_SIZE = 104, TSS_MAX = TSS32_SIZE + 32 + 8192 + 1;

/** The parameters of the domain. */
export class Params {
  readonly #values: Word64[] = new Array<Word64>(HVM_NR_PARAMS).fill([0, 0]);

  constructor() {
    this.#values[Param.STORE_PFN] = [STORE_GFN, 0];
    this.#values[Param.STORE_EVTCHN] = [STORE_PORT, 0];
    this.#values[Param.CONSOLE_PFN] = [CONSOLE_GFN, 0];
    this.#values[Param.CONSOLE_EVTCHN] = [CONSOLE_PORT, 0];
    this.#values[Param.IDENT_PT] = [IDENT_PT_GFN * 4096, 0];
  }

  /** HVMOP_get_param by the guest. @returns the value, or a negative error */
  get(index: number): Word64 | number {
    if (index >= HVM_NR_PARAMS) return -Errno.EINVAL;
    if (DEPRECATED.has(index)) return -Errno.EINVAL;
    if (!READABLE.has(index)) return -Errno.EPERM;
    if (index === Param.VM86_TSS) return [this.#values[Param.VM86_TSS_SIZED][0], 0];
    return this.#values[index];
  }

  /** HVMOP_set_param by the guest, without side effects. @returns 0, a negative error, or "crash" of the domain */
  set(index: number, [lo, hi]: Word64): number | "crash" {
    if (index >= HVM_NR_PARAMS) return -Errno.EINVAL;
    if (DEPRECATED.has(index)) return -Errno.EINVAL;
    if (!SETTABLE.has(index)) return -Errno.EPERM;
    switch (index) {
      case Param.X87_FIP_WIDTH:
        if (hi !== 0 || (lo !== 0 && lo !== 4 && lo !== 8)) return -Errno.EINVAL;
        break;
      case Param.ACPI_IOPORTS_LOCATION:
        // 0 is the historic layout and 1 the usual one; there is no PM timer to move.
        if (hi !== 0 || lo > 1) return -Errno.EINVAL;
        break;
      case Param.VM86_TSS:
        if (hi !== 0) return "crash";
        this.#values[Param.VM86_TSS_SIZED] = [lo, lo === 0 ? 0 : 128];
        return 0;
      case Param.VM86_TSS_SIZED:
        if (hi < TSS32_SIZE) return "crash";
        this.#values[index] = [lo, Math.min(hi, TSS_MAX)];
        return 0;
    }
    this.#values[index] = [lo, hi];
    return 0;
  }

  save(): Json {
    return this.#values.map(([lo, hi]) => [lo, hi]);
  }
  load(state: Json): void {
    (state as [number, number][]).forEach((value, i) => this.#values[i] = [value[0], value[1]]);
  }
}
