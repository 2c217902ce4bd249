/**
 * ACPI fixed hardware: PM1a event and control blocks and the power management timer.
 *
 * Source: ACPI specification 6.4, section 4.8 "ACPI Register Model". The machine is always in ACPI mode (SCI_EN reads
 * 1; the FADT needs no SMI_CMD); there is no power button.
 *
 * @module
 */
import type { DeviceHost, Json, PortHandler, Snapshottable } from "../bus.ts";
import type { Timer } from "../clock.ts";
import { Rate } from "./rate.ts";
import { StateReader } from "./state.ts";

/** Where the registers are and what they mean here: what FADT and DSDT must say. */
export const ACPI_PM = {
  /** PM1a_EVT_BLK, 4 bytes: status, enable. */
  PM1A_EVENT: 0x600,
  /** PM1a_CNT_BLK, 2 bytes. */
  PM1A_CONTROL: 0x604,
  /** PM_TMR_BLK, 4 bytes, 24-bit counter (TMR_VAL_EXT clear). */
  TIMER: 0x608,
  /** SCI_INT: GSI 9. */
  SCI: 9,
  /** SLP_TYP for S5 (`\_S5`): soft off. */
  SLEEP_S5: 5,
  /** RESET_REG and RESET_VALUE: port 0xcf9. */
  RESET_PORT: 0xcf9,
  RESET_VALUE: 6,
} as const;

/** Frequency of the power management timer in Hz. */
export const PM_TIMER_HZ = 3_579_545;

const TMR_STS = 1, SCI_EN = 1, SLP_EN = 0x2000;
/** The timer sets its status bit whenever bit 23 of the count changes. */
const HALF_RANGE = 1 << 23;

/** PM1a registers and timer. */
export class AcpiPm implements PortHandler, Snapshottable {
  readonly name = "acpi-pm";
  readonly #host: DeviceHost;
  readonly #base: number;
  readonly #rate = new Rate(PM_TIMER_HZ);
  readonly #timer: Timer;
  #enable = 0;
  #control = SCI_EN;
  /** Number of half ranges for which TMR_STS was cleared already. */
  #acknowledged = 0;

  /** @param base port of PM1a_EVT_BLK; control is at +4, the timer at +8. */
  constructor(host: DeviceHost, base: number = ACPI_PM.PM1A_EVENT) {
    this.#host = host;
    this.#base = base;
    this.#timer = host.clock.timer("acpi-pm", () => this.#update());
    host.ports(base, base + 11, this);
    host.snapshot(this);
  }

  #ticks(): number {
    return this.#rate.ticks(this.#host.clock.now());
  }

  #halves(): number {
    return Math.floor(this.#ticks() / HALF_RANGE);
  }

  #status(): number {
    return this.#halves() > this.#acknowledged ? TMR_STS : 0;
  }

  #update(): void {
    const asserted = (this.#status() & this.#enable) !== 0;
    this.#host.irq(ACPI_PM.SCI, asserted);
    const waits = (this.#enable & TMR_STS) !== 0 && !asserted;
    this.#host.clock.arm(this.#timer, waits ? this.#rate.ns((this.#halves() + 1) * HALF_RANGE) : Infinity);
  }

  read(port: number, size: number): number {
    const offset = port - this.#base;
    const at = (word: number): number => word >>> (offset & 3) * 8;
    if (offset < 4) return this.#narrow(at(this.#status() | this.#enable << 16), size);
    if (offset < 8) return this.#narrow(at(this.#control), size);
    return this.#narrow(at(this.#ticks() % 0x100_0000), size);
  }

  #narrow(v: number, size: number): number {
    return size === 4 ? v >>> 0 : v & (size === 2 ? 0xffff : 0xff);
  }

  write(port: number, size: number, value: number): void {
    const offset = port - this.#base;
    if (offset === 0 && (value & TMR_STS) !== 0) this.#acknowledged = this.#halves();
    if (offset === 2) this.#enable = value & 0xffff;
    else if (offset === 0 && size === 4) this.#enable = value >>> 16;
    if (offset === 4 && size >= 2) {
      this.#control = value & 0x1c06 | SCI_EN;
      if ((value & SLP_EN) !== 0) this.#sleep(value >> 10 & 7);
    }
    this.#update();
  }

  #sleep(type: number): void {
    const icount = this.#host.clock.icount;
    if (type === ACPI_PM.SLEEP_S5) {
      this.#host.stop({
        kind: "poweroff",
        message: `The guest powered off through ACPI at icount ${icount}`,
      });
    } else {
      this.#host.stop({
        kind: "suspend",
        message:
          `The guest asked for ACPI sleep type ${type} at icount ${icount}, from which nothing wakes it`,
      });
    }
  }

  save(): Json {
    return { enable: this.#enable, control: this.#control, acknowledged: this.#acknowledged };
  }

  load(state: Json): void {
    const r = new StateReader(this.name, state);
    this.#enable = r.num("enable");
    this.#control = r.num("control");
    this.#acknowledged = r.num("acknowledged");
  }
}
