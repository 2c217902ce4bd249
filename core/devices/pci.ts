/**
 * PCI configuration mechanism #1 (0xcf8/0xcfc) with nothing behind it, and the reset control register 0xcf9.
 *
 * Source: PCI local bus specification 3.0, section 3.2.2.3.2; Intel ICH data sheets for 0xcf9 (bit 1 system reset,
 * bit 2 resets the processor on its rising edge).
 *
 * @module
 */
import type { DeviceHost, Json, PortHandler, Snapshottable } from "../bus.ts";
import { StateReader } from "./state.ts";

/** Configuration address register that reads back; all configuration space reads as absent devices. */
export class PciConfig implements PortHandler, Snapshottable {
  readonly name = "pci";
  readonly #host: DeviceHost;
  #address = 0;
  #resetControl = 0;

  constructor(host: DeviceHost) {
    this.#host = host;
    host.ports(0xcf8, 0xcff, this);
    host.snapshot(this);
  }

  read(port: number, size: number): number {
    if (port === 0xcf8 && size === 4) return this.#address;
    if (port === 0xcf9 && size === 1) return this.#resetControl;
    return 0xffff_ffff;
  }

  write(port: number, size: number, value: number): void {
    if (port === 0xcf8 && size === 4) {
      this.#address = (value & 0x80ff_fffc) >>> 0; // bits 30-24 and 1-0 are reserved, read as 0
    } else if (port === 0xcf9 && size === 1) {
      const rises = (value & 4) !== 0 && (this.#resetControl & 4) === 0;
      this.#resetControl = value & 0x0a;
      if (!rises) return;
      this.#host.stop({
        kind: "reboot",
        message: `The guest reset the machine through port 0xcf9 at icount ${this.#host.clock.icount}`,
      });
    }
  }

  save(): Json {
    return { address: this.#address, resetControl: this.#resetControl };
  }

  load(state: Json): void {
    const r = new StateReader(this.name, state);
    this.#address = r.num("address");
    this.#resetControl = r.num("resetControl");
  }
}
