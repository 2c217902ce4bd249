/**
 * Dispatch of port and MMIO accesses to devices. What nobody claims floats: reads give all ones, writes vanish.
 *
 * @module
 */
import type { MmioHandler, PortHandler } from "./bus.ts";
import { PAGE_SIZE } from "./mmu/physmem.ts";

/** All ones of an access size. */
export const floating = (size: number): number => size === 4 ? 0xffff_ffff : size === 2 ? 0xffff : 0xff;

/** Port and MMIO address spaces of one machine. */
export class IoSpace {
  readonly #ports: (PortHandler | undefined)[] = [];
  readonly #mmio = new Map<number, MmioHandler>();

  /** @see DeviceHost.ports */
  claimPorts(first: number, last: number, handler: PortHandler): void {
    for (let p = first; p <= last && p < 0x10000; p++) this.#ports[p] = handler;
  }
  /** @see DeviceHost.mmio */
  claimMmio(gpa: number, bytes: number, handler: MmioHandler): void {
    for (let a = gpa; a < gpa + bytes; a += PAGE_SIZE) this.#mmio.set(a / PAGE_SIZE, handler);
  }

  /** Reads a port. A wide access to a device that starts at its port goes to it whole. */
  portRead(port: number, size: number): number {
    const h = this.#ports[port];
    return h === undefined ? floating(size) : (h.read(port, size) & floating(size)) >>> 0;
  }
  /** Writes a port. */
  portWrite(port: number, size: number, value: number): void {
    this.#ports[port]?.write(port, size, value >>> 0);
  }

  /** Reads guest-physical memory that has no backing. */
  mmioRead(gpa: number, size: number): number {
    const h = this.#mmio.get(Math.floor(gpa / PAGE_SIZE));
    return h === undefined ? floating(size) : (h.read(gpa, size) & floating(size)) >>> 0;
  }
  /** Writes guest-physical memory that has no backing. */
  mmioWrite(gpa: number, size: number, value: number): void {
    this.#mmio.get(Math.floor(gpa / PAGE_SIZE))?.write(gpa, size, value >>> 0);
  }
}
