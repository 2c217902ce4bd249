/**
 * Text of a guest that attacks whoever shows it.
 *
 * @module
 */

/** What a guest may try: to end the element it is in, to be run, to be loaded, to look like other text. */
export const HOSTILE: readonly string[] = [
  `</script><script>globalThis.pwned = 1</script>`,
  `<img src=x onerror="globalThis.pwned = 2">`,
  `"><svg onload=globalThis.pwned=3>`,
  "${globalThis.pwned=4}`'\\u003cscript>",
  `'; DROP TABLE exits; --`,
  `<!--<script>`,
  `]]></textarea><iframe src="javascript:parent.pwned=5"></iframe>`,
  `\u202e\u0000\u001b[2J{{constructor.constructor('pwned=6')()}}`,
];

/** Such text for every string of a synthetic recording. */
export function hostileText(kind: string, n: number): string {
  const text = `${HOSTILE[n % HOSTILE.length]} ${kind}${n}`;
  return kind === "symbol" ? text : `${text}\n`;
}
