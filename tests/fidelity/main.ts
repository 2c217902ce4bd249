/**
 * `deno task fidelity`: long campaigns against things not written here.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { DEFAULT_CONFIG } from "../../core/config.ts";
import { campaignMain } from "./campaign.ts";
import { decoderMain } from "./decoder_main.ts";
import { coverageMain } from "./coverage_report.ts";
import { hostMain } from "./host_main.ts";
import { hypercallMain } from "./hypercalls.ts";
import { lockstepMain } from "./lockstep.ts";
import { kutMain } from "./kvm_unit_tests.ts";
import { matrixMain } from "./matrix_guests.ts";
import { sideBySideMain } from "./side_by_side.ts";
import { testfloatMain } from "./testfloat/main.ts";
import { xtfMain } from "./xtf.ts";

const HELP = `Prove the processor and the machine against things not written here.

Usage: deno task fidelity MODE [OPTION]...

  (no mode)           rounds of host comparison, decoder and hypercalls in random order, until the time is over or one
                      finds something
    --seconds N --seed S

  --host              the host's own processor runs the same instructions (Linux x86-64, gcc)
    --seconds N       how long (default: 10)
    --seed S          seed of the cases (default: 1)
    --case N          only case N of that seed
    --groups LIST     int,x87,mmx,fxsr,sse,sse2,sse3,ssse3,sse4,invalid (default: int,invalid)
    --show N          mismatches to print, one per mnemonic (default: 10)
    --strict          compare undefined flags too
    --loops           small loops instead of single instructions
    --jit N           compile blocks that ran N times (default: 0, interpret everything)

  --coverage          every form that user mode can run, each from many states, held against the host processor
    --states N        states of each form (default: 1000)
    --seed S          seed of the states (default: 1)
    --csv             print every form
    --write           write docs/fidelity-coverage.md

  --decoder           random and structured bytes decoded here and by iced-x86: length, validity, operands
    --strings N       how many (default: 10000000)
    --seed S

  --hypercalls        guests that make random hypercalls with hostile arguments: one state in every engine, and replayed
    --seconds N --seed S

  --lockstep [GUEST] [KEY=VALUE ...]  a guest (default: the demo) on interpreter and compiler side by side
    --most N          instructions (default: 20000000)
    --slice N         instructions between comparisons (default: 4096)
    --jit N           compile blocks that ran N times (default: 20)

  --matrix            the determinism matrix: every guest in every way of running it (RETROVISOR_FULL=1: complete boots)
    --only TEXT       only guests whose name contains TEXT

  --xtf FOLDER        the Xen Test Framework's hvm* binaries, built elsewhere: verdicts, replay, exit counts
    --only TEXT       only tests whose name contains TEXT
    --write           write docs/fidelity-xtf.md

  --qemu              privileged behaviour side by side with QEMU (nasm, qemu-system-x86_64)
    --only TEXT       only guests whose name contains TEXT
    --write           write docs/fidelity-qemu.md

  --testfloat FOLDER  SSE and x87 arithmetic against vectors of Berkeley TestFloat's testfloat_gen, built elsewhere (nasm)
    --level N         1 or 2 (default: 1), --seed S, --only TEXT, --show N

  --kut FOLDER        images of kvm-unit-tests (*.flat), built elsewhere: checks passed and failed
    --only TEXT, --cpuid POLICY
`;

/** Entry point; returns the exit code. */
export async function main(args: string[]): Promise<number> {
  const options = parseArgs(args, {
    boolean: ["help", "host", "strict", "loops", "coverage", "csv", "write", "qemu", "lockstep", "matrix"]
      .concat(["decoder", "hypercalls"]),
    string: ["seconds", "seed", "case", "groups", "show", "jit", "xtf", "only", "kut"].concat(
      ["cpuid", "states", "most", "slice", "testfloat", "level", "strings", "_"],
    ),
    default: { seed: "1", groups: "int,invalid", show: "10", states: "1000" },
  });
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  if (options.host) {
    return await hostMain({
      seconds: Number(options.seconds ?? 10),
      seed: Number(options.seed),
      only: options.case === undefined ? -1 : Number(options.case),
      groups: options.groups,
      show: Number(options.show),
      strict: options.strict,
      loops: options.loops,
      jit: Number(options.jit ?? 0),
    });
  }
  if (options.lockstep) {
    const { most = "20000000", slice = "4096", jit = "20" } = options;
    return lockstepMain(options._.map(String), {
      most: Number(most),
      slice: Number(slice),
      jit: Number(jit),
    });
  }
  if (options.decoder) return decoderMain(Number(options.strings ?? 10_000_000), Number(options.seed));
  if (options.hypercalls) {
    return await hypercallMain(Number(options.seconds ?? 10), Number(options.seed));
  }
  if (options.coverage) {
    const { states, seed, csv, write } = options;
    return await coverageMain({ states: Number(states), seed: Number(seed), csv, page: write });
  }
  if (options.xtf) return await xtfMain(options.xtf, options.only ?? "", options.write);
  if (options.matrix) return await matrixMain(options.only ?? "");
  if (options.qemu) return await sideBySideMain(options.only ?? "", options.write);
  if (options.testfloat) {
    const { testfloat: folder, level = "1", seed, only = "", show } = options;
    return await testfloatMain({
      folder,
      level: Number(level),
      seed: Number(seed),
      only,
      show: Number(show),
    });
  }
  if (options.kut) return kutMain(options.kut, options.only ?? "", options.cpuid ?? DEFAULT_CONFIG.cpuid);
  if (options.seconds !== undefined) return await campaignMain(Number(options.seconds), Number(options.seed));
  console.error(HELP);
  return 2;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
