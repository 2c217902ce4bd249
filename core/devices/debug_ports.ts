/**
 * Ports for firmware and kernel debugging: text output at 0xe9 (Bochs) and 0x402 (QEMU `isa-debugcon`, which SeaBIOS
 * uses), exit ports (QEMU `isa-debug-exit`), and the POST code port 0x80.
 *
 * @module
 */
import type { DeviceHost, Json, PortHandler, Snapshottable } from "../bus.ts";
import { claimBytePorts } from "./byte_wide.ts";
import { StateReader, toHex } from "./state.ts";

/** Output is handed on at each newline and at this many bytes. */
const OUTPUT_BYTES = 256;

/** A port whose writes are text and whose reads give 0xe9, by which guests detect it. */
export class DebugConsole implements PortHandler, Snapshottable {
  readonly name: string;
  readonly #host: DeviceHost;
  #out: number[] = [];

  /** @param name console device: "port-e9", "debugcon". */
  constructor(host: DeviceHost, name: string, port: number) {
    this.name = name;
    this.#host = host;
    host.ports(port, port, this);
    host.snapshot(this);
  }

  read(): number {
    return 0xe9;
  }

  write(_port: number, _size: number, value: number): void {
    this.#out.push(value & 0xff);
    if ((value & 0xff) === 10 || this.#out.length >= OUTPUT_BYTES) this.flush();
  }

  /** Hands on the output that waits for its newline. */
  flush(): void {
    if (this.#out.length === 0) return;
    this.#host.console(this.name, Uint8Array.from(this.#out));
    this.#out = [];
  }

  save(): Json {
    return { out: toHex(Uint8Array.from(this.#out)) };
  }

  load(state: Json): void {
    this.#out = [...new StateReader(this.name, state).bytes("out", -1, OUTPUT_BYTES)];
  }
}

/**
 * A port whose write ends the run with outcome "exit", code = the value written. (QEMU's process would exit with
 * status `value << 1 | 1`; test suites that know that convention write the value they mean before the shift.)
 */
export class DebugExit implements PortHandler {
  readonly #host: DeviceHost;

  constructor(host: DeviceHost, port: number) {
    this.#host = host;
    host.ports(port, port + 3, this);
  }

  read(): number {
    return 0;
  }

  write(port: number, _size: number, value: number): void {
    this.#host.stop({
      kind: "exit",
      message: `The guest wrote ${value} to debug exit port 0x${
        port.toString(16)
      } at icount ${this.#host.clock.icount}`,
      code: value,
    });
  }
}

/** DMA page registers 0x80-0x8f: plain bytes. Port 0x80 takes POST codes and serves as an I/O delay. */
export class PageRegisters implements PortHandler, Snapshottable {
  readonly name = "dma-page";
  #bytes: Uint8Array = new Uint8Array(16);

  constructor(host: DeviceHost) {
    claimBytePorts(host, 0x80, 0x8f, this);
    host.snapshot(this);
  }

  read(port: number): number {
    return this.#bytes[port & 15];
  }

  write(port: number, _size: number, value: number): void {
    this.#bytes[port & 15] = value;
  }

  save(): Json {
    return { bytes: toHex(this.#bytes) };
  }

  load(state: Json): void {
    this.#bytes = new StateReader(this.name, state).bytes("bytes", 16);
  }
}
