/**
 * The FIFO event-channel ABI: one word a port in guest pages, queues by priority in per-vCPU control blocks.
 *
 * Source: Xen 4.17 event_channel.h (EVTCHN_FIFO_*), "Event Channel Internals" design document.
 *
 * @module
 */
import type { Json } from "../bus.ts";
import { PAGE_SIZE, type PhysMem } from "../mmu/physmem.ts";
import { Errno } from "./abi.ts";
import type { Channel } from "./events.ts";

/** Priorities: 0 is the highest, 15 the lowest; new channels have 7. */
export const FIFO_PRIORITY_LOWEST = 15, FIFO_PRIORITY_DEFAULT = 7;
/** Bits of a link field: the port number that follows in a queue. */
export const FIFO_LINK_BITS = 17;
/** Size of a control block: ready word, reserved word, sixteen queue heads. */
export const FIFO_CONTROL_SIZE = 72;

const PENDING = 1 << 31, MASKED = 1 << 30, LINKED = 1 << 29, BUSY = 1 << 28;
const LINK_MASK = (1 << FIFO_LINK_BITS) - 1;
const WORDS_PER_PAGE = PAGE_SIZE / 4, MAX_PAGES = (1 << FIFO_LINK_BITS) / WORDS_PER_PAGE;
const QUEUES = 16;

/** Event words and queues of a domain that uses the FIFO ABI. */
export class Fifo {
  /** Guest frames of the event array. */
  readonly #array: number[] = [];
  /** Guest-physical address of each vCPU's control block; -1 when it has none. */
  readonly #control: number[];
  /** Last port of each queue (vCPU * 16 + priority); 0: empty. */
  readonly #tails: number[];

  constructor(readonly mem: PhysMem, vcpus: number) {
    this.#control = new Array<number>(vcpus).fill(-1);
    this.#tails = new Array<number>(vcpus * QUEUES).fill(0);
  }

  /** Ports that have an event word. */
  get ports(): number {
    return this.#array.length * WORDS_PER_PAGE;
  }

  /** Gives a vCPU its control block. @returns 0 or a negative error */
  mapControl(vcpu: number, gfn: number, offset: number): number {
    if (this.#control[vcpu] >= 0 || !this.#writable(gfn)) return -Errno.EINVAL;
    this.#control[vcpu] = gfn * PAGE_SIZE + offset;
    return 0;
  }

  /** Adds a page of event words. @returns 0 or a negative error */
  expand(gfn: number): number {
    if (this.#array.length >= MAX_PAGES) return -Errno.ENOSPC;
    if (!this.#writable(gfn)) return -Errno.EINVAL;
    this.#array.push(gfn);
    return 0;
  }

  isPending(port: number): boolean {
    return port < this.ports && (this.#read(port) & PENDING) !== 0;
  }
  isMasked(port: number): boolean {
    return port >= this.ports || (this.#read(port) & MASKED) !== 0;
  }
  /** True while the port is on a queue: its number must not be used again. */
  isBusy(port: number): boolean {
    return port < this.ports && (this.#read(port) & LINKED) !== 0;
  }
  clearPending(port: number): void {
    if (port < this.ports) this.#write(port, this.#read(port) & ~PENDING);
  }
  clearMask(port: number): void {
    if (port < this.ports) this.#write(port, this.#read(port) & ~MASKED);
  }

  /**
   * Raises an event on its vCPU.
   * @returns whether the port became pending (pollers are to be told), and whether the upcall is to be raised
   */
  setPending(chn: Channel): { poll: boolean; upcall: boolean } {
    if (chn.port >= this.ports) {
      chn.pending = true;
      return { poll: false, upcall: false };
    }
    const control = this.#control[chn.vcpu];
    if (control < 0) return { poll: false, upcall: false };
    let word = this.#read(chn.port);
    const poll = (word & PENDING) === 0;
    this.#write(chn.port, word |= PENDING);
    if (word & (MASKED | LINKED)) return { poll, upcall: false };
    this.#write(chn.port, word | LINKED);
    const appended = this.#enqueue(chn, control);
    if (appended) return { poll, upcall: false };
    const ready = this.mem.read32(control), bit = 1 << chn.priority;
    this.mem.write32(control, (ready | bit) >>> 0);
    return { poll, upcall: (ready & bit) === 0 };
  }

  save(): Json {
    return { array: [...this.#array], control: [...this.#control], tails: [...this.#tails] };
  }
  load(state: Json): void {
    const s = state as { array: number[]; control: number[]; tails: number[] };
    this.#array.length = 0;
    this.#array.push(...s.array);
    s.control.forEach((gpa, i) => this.#control[i] = gpa);
    s.tails.forEach((port, i) => this.#tails[i] = port);
  }

  /** Links a port (whose LINKED bit was just set) behind its queue's tail; false: it became the head. */
  #enqueue(chn: Channel, control: number): boolean {
    const old = chn.lastVcpu * QUEUES + chn.lastPriority, queue = chn.vcpu * QUEUES + chn.priority;
    if (this.#tails[old] === chn.port) this.#tails[old] = 0;
    chn.lastVcpu = chn.vcpu;
    chn.lastPriority = chn.priority;
    const tail = this.#tails[queue];
    let appended = false;
    if (tail !== 0 && tail < this.ports) {
      const word = this.#read(tail);
      if (word & LINKED) {
        this.#write(tail, word & ~(BUSY | LINK_MASK) | chn.port);
        appended = true;
      }
    }
    if (!appended) this.mem.write32(control + 8 + chn.priority * 4, chn.port);
    this.#tails[queue] = chn.port;
    return appended;
  }

  #writable(gfn: number): boolean {
    return gfn >= 0 && gfn < 1 << 20 && this.mem.hostPage[gfn] !== 0 && this.mem.rom[gfn] === 0;
  }
  #address(port: number): number {
    return this.#array[Math.floor(port / WORDS_PER_PAGE)] * PAGE_SIZE + port % WORDS_PER_PAGE * 4;
  }
  #read(port: number): number {
    return this.mem.read32(this.#address(port));
  }
  #write(port: number, word: number): void {
    this.mem.write32(this.#address(port), word >>> 0);
  }
}
