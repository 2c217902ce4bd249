/**
 * QEMU firmware configuration device at ports 0x510 (selector) and 0x511 (data): what SeaBIOS asks the machine.
 *
 * Source: QEMU `docs/specs/fw_cfg.rst`; item numbers: `include/standard-headers/linux/qemu_fw_cfg.h`. Data is read-only,
 * without the DMA interface.
 *
 * @module
 */
import type { DeviceHost, Json, PortHandler, Snapshottable } from "../bus.ts";
import { StateReader } from "./state.ts";

const KEY = {
  SIGNATURE: 0x00,
  ID: 0x01,
  RAM_SIZE: 0x03,
  NOGRAPHIC: 0x04,
  NB_CPUS: 0x05,
  MAX_CPUS: 0x0f,
  FILE_DIR: 0x19,
  FILE_FIRST: 0x20,
  IRQ0_OVERRIDE: 0x8002,
  E820_TABLE: 0x8003,
} as const;

/** Item numbers ignore the "write" bit. */
const KEY_MASK = 0xbfff;
const FILE_NAME_BYTES = 56;

function little(value: number, bytes: number): Uint8Array {
  const out = new Uint8Array(bytes), v = new DataView(out.buffer);
  if (bytes === 8) v.setUint32(4, Math.floor(value / 0x1_0000_0000), true);
  if (bytes >= 4) v.setUint32(0, value >>> 0, true);
  else v.setUint16(0, value, true);
  return out;
}

/** One entry of the memory map: RAM from 0 (20 bytes: address, length, type 1). */
function e820(memoryBytes: number): Uint8Array {
  const out = new Uint8Array(20);
  out.set(little(memoryBytes, 8), 8);
  out[16] = 1;
  return out;
}

function directory(files: [string, Uint8Array][]): Uint8Array {
  const out = new Uint8Array(4 + files.length * 64), v = new DataView(out.buffer);
  v.setUint32(0, files.length);
  files.forEach(([name, data], i) => {
    const at = 4 + i * 64;
    v.setUint32(at, data.length);
    v.setUint16(at + 4, KEY.FILE_FIRST + i);
    out.set(new TextEncoder().encode(name).subarray(0, FILE_NAME_BYTES - 1), at + 8);
  });
  return out;
}

/** What the firmware may ask. */
export interface FwCfgOptions {
  memoryBytes: number;
  vcpus: number;
  /**
   * Named items on top of "etc/e820", "etc/show-boot-menu" (0: SeaBIOS does not wait for a key) and
   * "etc/boot-fail-wait" (-1: it does not reboot when there is nothing to boot).
   */
  files?: Record<string, Uint8Array>;
}

/** Firmware configuration device. */
export class FwCfg implements PortHandler, Snapshottable {
  readonly name = "fw-cfg";
  readonly #items = new Map<number, Uint8Array>();
  #key = 0;
  #offset = 0;

  constructor(host: DeviceHost, options: FwCfgOptions) {
    const files: [string, Uint8Array][] = Object.entries({
      "etc/e820": e820(options.memoryBytes),
      "etc/boot-fail-wait": little(0xffff_ffff, 4),
      "etc/show-boot-menu": little(0, 2),
      ...options.files,
    }).sort(([a], [b]) => a < b ? -1 : 1);
    const table = new Uint8Array(24);
    table.set(little(1, 4));
    table.set(e820(options.memoryBytes), 4);
    this.#items.set(KEY.SIGNATURE, new TextEncoder().encode("QEMU"));
    this.#items.set(KEY.ID, little(1, 4)); // traditional interface only
    this.#items.set(KEY.RAM_SIZE, little(options.memoryBytes, 8));
    this.#items.set(KEY.NOGRAPHIC, little(1, 2));
    this.#items.set(KEY.NB_CPUS, little(options.vcpus, 2));
    this.#items.set(KEY.MAX_CPUS, little(options.vcpus, 2));
    this.#items.set(KEY.IRQ0_OVERRIDE, Uint8Array.of(1));
    this.#items.set(KEY.E820_TABLE, table);
    this.#items.set(KEY.FILE_DIR, directory(files));
    files.forEach(([, data], i) => this.#items.set(KEY.FILE_FIRST + i, data));
    host.ports(0x510, 0x511, this);
    host.snapshot(this);
  }

  /** Bytes past an item's end, and items that are not there, read as 0. */
  read(port: number, size: number): number {
    if (port === 0x510) return this.#key & (size === 1 ? 0xff : 0xffff);
    const data = this.#items.get(this.#key & KEY_MASK);
    let v = 0;
    for (let i = 0; i < size; i++) {
      v |= (data?.[this.#offset] ?? 0) << i * 8;
      if (data !== undefined && this.#offset < data.length) this.#offset++;
    }
    return v >>> 0;
  }

  write(port: number, _size: number, value: number): void {
    if (port !== 0x510) return; // items are read-only
    this.#key = value & 0xffff;
    this.#offset = 0;
  }

  save(): Json {
    return { key: this.#key, offset: this.#offset };
  }

  load(state: Json): void {
    const r = new StateReader(this.name, state);
    this.#key = r.num("key");
    this.#offset = r.num("offset");
  }
}
