/**
 * One thread that computes segments of a window. It is told the recording once, then a segment at a time.
 *
 * @module
 */
import { Bundle } from "../../traces/bundle.ts";
import { TooManyRows } from "./rows.ts";
import { Scanner, type ScanRequest, type Segment } from "./scan.ts";

/** What a thread is told. */
export interface Task {
  /** Folder of the recording. */
  path: string;
  request: ScanRequest;
  segment: Segment;
}

const scope = self as unknown as {
  onmessage: ((e: MessageEvent<Task>) => void) | null;
  postMessage(message: unknown, transfer?: Transferable[]): void;
};
let scanner: Scanner | null = null;

scope.onmessage = ({ data: { path, request, segment } }) => {
  try {
    // Whoever asks has checked the recording.
    scanner ??= new Scanner(Bundle.open(path, { verify: false }));
    const table = scanner.scan(request, segment, (instructions) => scope.postMessage({ instructions }));
    scope.postMessage({ table }, table.columns.map((c) => c.data.buffer as ArrayBuffer));
  } catch (e) {
    scope.postMessage({
      error: e instanceof Error ? e.message : String(e),
      tooMany: e instanceof TooManyRows,
    });
  }
};
