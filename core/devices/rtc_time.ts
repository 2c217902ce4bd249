/**
 * Calendar time as an MC146818 shows it: registers to seconds since 1970 and back, BCD or binary, 12 or 24 hours.
 *
 * Source: Motorola MC146818A data sheet, table "Time, Calendar, and Alarm Data Modes".
 *
 * @module
 */

/** Index of the time registers. */
export const RTC_SECONDS = 0, RTC_MINUTES = 2, RTC_HOURS = 4, RTC_WEEKDAY = 6, RTC_DAY = 7, RTC_MONTH = 8;
export const RTC_YEAR = 9, RTC_CENTURY = 0x32;
/** Index of the alarm registers. */
export const RTC_ALARM_SECONDS = 1, RTC_ALARM_MINUTES = 3, RTC_ALARM_HOURS = 5;

/** Bits of register B that say how values are coded. */
export const RTC_B_BINARY = 0x04, RTC_B_24H = 0x02;

/** A value 0..99 as register B wants it coded. */
export function encode(value: number, regB: number): number {
  return (regB & RTC_B_BINARY) !== 0 ? value : Math.floor(value / 10) << 4 | value % 10;
}

/** The value of a register coded as register B says. */
export function decode(raw: number, regB: number): number {
  return (regB & RTC_B_BINARY) !== 0 ? raw : (raw >> 4) * 10 + (raw & 15);
}

/** Hours 0..23 as the hours register shows them; bit 7 is PM in 12-hour mode. */
export function encodeHour(hour: number, regB: number): number {
  if ((regB & RTC_B_24H) !== 0) return encode(hour, regB);
  return encode(hour % 12 === 0 ? 12 : hour % 12, regB) | (hour >= 12 ? 0x80 : 0);
}

/** Hours 0..23 (or out of range for nonsense) from the hours register. */
export function decodeHour(raw: number, regB: number): number {
  if ((regB & RTC_B_24H) !== 0) return decode(raw, regB);
  return decode(raw & 0x7f, regB) % 12 + ((raw & 0x80) !== 0 ? 12 : 0);
}

/** Writes the time registers of `cmos` for `seconds` since 1970. */
export function timeToRegisters(seconds: number, cmos: Uint8Array, regB: number): void {
  const d = new Date(seconds * 1000);
  cmos[RTC_SECONDS] = encode(d.getUTCSeconds(), regB);
  cmos[RTC_MINUTES] = encode(d.getUTCMinutes(), regB);
  cmos[RTC_HOURS] = encodeHour(d.getUTCHours(), regB);
  cmos[RTC_WEEKDAY] = encode(d.getUTCDay() + 1, regB);
  cmos[RTC_DAY] = encode(d.getUTCDate(), regB);
  cmos[RTC_MONTH] = encode(d.getUTCMonth() + 1, regB);
  cmos[RTC_YEAR] = encode(d.getUTCFullYear() % 100, regB);
  cmos[RTC_CENTURY] = encode(Math.floor(d.getUTCFullYear() / 100) % 100, regB);
}

/** Seconds since 1970 that the time registers of `cmos` say; values out of range carry over. */
export function registersToTime(cmos: Uint8Array, regB: number): number {
  const year = decode(cmos[RTC_CENTURY], regB) * 100 + decode(cmos[RTC_YEAR], regB);
  const date = new Date(0);
  date.setUTCFullYear(year, decode(cmos[RTC_MONTH], regB) - 1, decode(cmos[RTC_DAY], regB));
  const hour = decodeHour(cmos[RTC_HOURS], regB);
  const minute = decode(cmos[RTC_MINUTES], regB), second = decode(cmos[RTC_SECONDS], regB);
  return date.getTime() / 1000 + hour * 3600 + minute * 60 + second;
}

/** True when an alarm register (raw value, 0xc0 and above match anything) matches a value 0..59 or hour 0..23. */
function matches(raw: number, value: number, regB: number, hours: boolean): boolean {
  if (raw >= 0xc0) return true;
  return (hours ? decodeHour(raw, regB) : decode(raw, regB)) === value;
}

/** The first second after `after` (since 1970) at which the alarm registers match, or Infinity: at most a day ahead. */
export function nextAlarm(after: number, cmos: Uint8Array, regB: number): number {
  let t = after + 1;
  for (let guard = 0; guard < 26 + 60 + 60; guard++) {
    const second = t % 60, minute = Math.floor(t / 60) % 60, hour = Math.floor(t / 3600) % 24;
    if (!matches(cmos[RTC_ALARM_HOURS], hour, regB, true)) t += 3600 - t % 3600;
    else if (!matches(cmos[RTC_ALARM_MINUTES], minute, regB, false)) t += 60 - t % 60;
    else if (!matches(cmos[RTC_ALARM_SECONDS], second, regB, false)) t += 1;
    else return t;
  }
  return Infinity;
}
