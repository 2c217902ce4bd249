/**
 * A branch: what would have happened had something been different at a place of a recording. The recording is executed
 * again up to that place and recorded anew; from there on the machine is a live one, which can be written to.
 *
 * @module
 */
import { createMachine, type RetrovisorMachine } from "../../core/machine.ts";
import type { Due, InputKind, Inputs } from "../../core/inputs.ts";
import type { Bundle } from "../../traces/bundle.ts";
import { hex } from "../../traces/hex.ts";
import { DirectoryStore, type Store } from "../../traces/store.ts";
import { LiveInputs, type Pushed, TraceInputs } from "../inputs.ts";
import { record, type RunResult } from "../runner.ts";
import { StateHasher } from "../state_hash.ts";
import type { Traveler } from "../traveler.ts";
import { LiveDebuggee } from "./live.ts";

/** Inputs of the recording up to a row, then those that the debugger makes. */
class BranchInputs implements Inputs {
  readonly live = new LiveInputs({
    epochSeconds: () => Math.floor(Date.now() / 1000),
    entropy: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
  });
  readonly #trace: TraceInputs;
  /** The place has been reached. */
  branched = false;

  constructor(bundle: Bundle, rows: number) {
    this.#trace = new TraceInputs(bundle);
    this.#trace.barrier = rows;
  }

  get #from(): Inputs {
    return this.branched ? this.live : this.#trace;
  }

  ask(kind: InputKind, target: string, bytes: number, icount: number, timeNs: number): Uint8Array {
    return this.#from.ask(kind, target, bytes, icount, timeNs);
  }
  poll(icount: number, timeNs: number): Pushed | null {
    return this.#from.poll(icount, timeNs);
  }
  nextDue(): Due | null {
    return this.#from.nextDue();
  }
  wait(timeoutMs: number): Promise<boolean> {
    return this.#from.wait(timeoutMs);
  }
}

/** One branch that runs and is recorded. */
export interface Branch {
  readonly live: LiveDebuggee;
  /** Ends the run and closes the recording. */
  end(): Promise<RunResult>;
}

/** Why a branch cannot be made, in one sentence. */
export class BranchError extends Error {
  override name = "BranchError";
}

/**
 * Branches off where a traveler is.
 * @param place folder of the new recording, or a store
 * @throws BranchError when the place inside an instruction count is not one to start from; StorageError
 */
export async function branchOff(traveler: Traveler, place: string | Store): Promise<Branch> {
  const { session, icount } = traveler, { bundle } = session;
  // What is due at this very place happens on both sides.
  if (traveler.machine.outcome === null) session.runTo(icount);
  const expected = session.stateHash(), inputs = new BranchInputs(bundle, session.counts().inputs);
  const abort = new AbortController(), made = Promise.withResolvers<LiveDebuggee>();
  const { name } = bundle.manifest.config, label = `branch of ${name} at icount ${icount}`;
  let live: LiveDebuggee | null = null;
  const run = record(bundle.manifest.config, bundle.images(), inputs, place, {
    createMachine,
    label,
    signal: abort.signal,
    gate: {
      open: () => live?.open() ?? Promise.resolve(),
      get limit() {
        return live?.limit ?? 0;
      },
      ran: () => live?.ran(),
    },
    onMachine: (m) => {
      live = new LiveDebuggee(m as RetrovisorMachine, inputs.live, label);
      made.resolve(live);
    },
  });
  run.catch((e) => made.reject(e));
  const branch = await made.promise;
  const end = async () => {
    abort.abort();
    branch.release();
    return await run;
  };
  await branch.runTo(icount);
  if (hashOf(branch.machine) !== expected) {
    await end();
    throw new BranchError(
      "Something has just been entered here without an instruction: stepi once, then branch",
    );
  }
  inputs.branched = true;
  return { live: branch, end };
}

/** The state hash of a machine, by looking at all of its memory. */
function hashOf(machine: RetrovisorMachine): string {
  const hasher = new StateHasher(machine.mem), backed: number[] = [];
  machine.mem.hostPage.forEach((host, gfn) => host !== 0 && backed.push(gfn));
  hasher.update(backed);
  return hex(hasher.digest(machine.saveState()));
}

/** Opens a folder for a branch's recording. @throws BranchError when there is something already */
export function branchFolder(path: string): Store {
  const store = new DirectoryStore(path);
  if (store.open("manifest.json") !== null) throw new BranchError(`There is a recording in ${path} already`);
  store.make();
  return store;
}
