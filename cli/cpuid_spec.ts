/**
 * The `cpuid` key: xl's "host,..." syntax in terms of ours.
 *
 * @module
 */
import { UsageError } from "./exit_code.ts";
import type { CfgValue } from "./xlcfg.ts";

/**
 * Maps a `cpuid` value to `MachineConfig.cpuid`. Ours ("default,-pae,+popcnt") passes unchanged. Of xl's, "host" is our
 * default preset, `name=0` denies, `name=1` claims, `name=x`, `k` and `s` (as the policy or the host has it) change nothing.
 * @throws UsageError for xl's bit-string lists, which have no names to map
 */
export function cpuidSpec(value: CfgValue): string {
  if (value.kind === "list") {
    throw new UsageError(
      'Cannot use cpuid as a list of registers: write "host,NAME=0" or "default,-NAME" with feature names.',
    );
  }
  const words = value.text.split(",").map((w) => w.trim()).filter((w) => w !== "");
  if (words.length > 256) throw new UsageError("Cannot use cpuid: it has more than 256 words.");
  const out: string[] = [];
  words.forEach((word, i) => {
    if (i === 0 && word.toLowerCase() === "host") return out.push("default");
    // Ours have a dot in the register's name: 0x1.ecx=0x80000001.
    const xl = /^([a-z][a-z0-9_.-]*)=(.*)$/i.exec(word);
    if (xl === null) return out.push(word);
    const [, name, setting] = xl;
    if (setting === "0") out.push(`-${name.toLowerCase()}`);
    else if (setting === "1") out.push(`+${name.toLowerCase()}`);
    else if (!/^[xks]$/i.test(setting)) {
      throw new UsageError(`Cannot use cpuid word "${word}": its value must be 0, 1, x, k or s.`);
    }
  });
  if (out.length === 0 || /^[-+0]/.test(out[0])) out.unshift("default");
  return out.join(",");
}
