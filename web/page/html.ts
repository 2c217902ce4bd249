/**
 * The page as HTML. None of it comes from a recording: what a guest wrote reaches the page as compressed data or as JSON,
 * and becomes text nodes there.
 *
 * @module
 */
import { blockId } from "../model/payload.ts";
import { type Assets, cspHash } from "./assets.ts";

/** A block of data that the page carries. */
export interface Block {
  name: string;
  /** gzip. */
  bytes: Uint8Array;
}

/**
 * The page's policy: its own script and styles and nothing else; WebAssembly and a worker where it carries DuckDB; requests
 * only to the server that it came from.
 */
export function contentPolicy(assets: Assets, kind: "carried" | "served"): string {
  const script = cspHash(assets.script), style = cspHash(assets.style);
  return [
    "default-src 'none'",
    `script-src ${script}${kind === "carried" ? " 'wasm-unsafe-eval'" : ""}`,
    `style-src ${style}`,
    "img-src data:",
    ...kind === "carried" ? ["worker-src blob:"] : ["connect-src 'self'"],
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

/** The page, piece by piece. */
export function* pageHtml(
  assets: Assets,
  kind: "carried" | "served",
  blocks: Iterable<Block>,
): Generator<string> {
  yield `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${contentPolicy(assets, kind)}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="Retrovisor">
<link rel="icon" href="data:,">
<title>Retrovisor</title>
<style>${assets.style}</style>
</head>
<body>
<noscript>This page shows a recording with JavaScript, which is turned off.</noscript>
`;
  for (const { name, bytes } of blocks) {
    // Base64 has no character with which an element could end.
    yield `<script type="application/octet-stream" id="${blockId(name)}">`;
    yield bytes.toBase64();
    yield "</script>\n";
  }
  yield `<script>${assets.script}</script>\n</body>\n</html>\n`;
}
