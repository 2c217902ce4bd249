/**
 * The ISA bus splits wide accesses to 8-bit devices into byte accesses of consecutive ports, low byte first.
 *
 * @module
 */
import type { DeviceHost, PortHandler } from "../bus.ts";

/** Claims ports first..last for an 8-bit device; bytes of a wide access that fall outside the range are not there. */
export function claimBytePorts(host: DeviceHost, first: number, last: number, device: PortHandler): void {
  host.ports(first, last, {
    read(port, size) {
      if (size === 1) return device.read(port, 1);
      let v = 0;
      for (let i = 0; i < size; i++) v |= (port + i <= last ? device.read(port + i, 1) : 0xff) << i * 8;
      return v >>> 0;
    },
    write(port, size, value) {
      for (let i = 0; i < size && port + i <= last; i++) device.write(port + i, 1, value >>> i * 8 & 0xff);
    },
  });
}
