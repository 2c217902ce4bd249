/**
 * All system operations by name.
 *
 * @module
 */
import { controlOps } from "./control.ts";
import { flagsOps } from "./flagsops.ts";
import { miscOps } from "./misc.ts";
import { msrOps } from "./msrops.ts";
import type { SysOpTable } from "./ops.ts";
import { portOps } from "./ports.ts";
import { segmentOps } from "./segment_ops.ts";
import { transferOps } from "./transfer.ts";
import { x87Ops } from "../x87/mod.ts";
import { sseOps } from "../sse/mod.ts";
import { vectorOffOps } from "../sse/off.ts";

/** What each system operation does. */
export const SYSTEM_OPERATIONS: SysOpTable = {
  ...controlOps,
  ...flagsOps,
  ...miscOps,
  ...msrOps,
  ...portOps,
  ...segmentOps,
  ...transferOps,
  ...x87Ops,
  ...vectorOffOps,
  ...sseOps,
};
