/// <reference lib="dom" />
/**
 * Colours: light and dark, after the reader's system unless chosen otherwise, told apart with any kind of colour vision.
 *
 * @module
 */

/** Okabe and Ito's palette, darkened and lightened for contrast with each background; the last is for everything else. */
const SERIES = {
  light: ["#0072b2", "#c04f00", "#007a5a", "#a83f83", "#8a6100", "#1f8fc9", "#4b3fa8", "#6b6b6b"],
  dark: ["#56b4e9", "#ff9d4d", "#33c99e", "#e594c3", "#f0e442", "#8fd0ff", "#b3a6ff", "#a0a0a0"],
};
/** Line styles that tell series apart without colour. */
const DASHES: number[][] = [[], [7, 3], [2, 2], [9, 3, 2, 3], [], [5, 2], [2, 4], []];

/** How many series have a look of their own; what is beyond shares the last one. */
export const LOOKS = SERIES.light.length;

/** True when the page is dark. */
export function isDark(): boolean {
  const chosen = document.documentElement.dataset.theme;
  return chosen !== undefined ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Colour of a series by its rank. */
export function seriesColor(rank: number): string {
  return SERIES[isDark() ? "dark" : "light"][Math.min(rank, LOOKS - 1)];
}

/** Dashes of a series by its rank. */
export function seriesDash(rank: number): number[] {
  return DASHES[Math.min(rank, LOOKS - 1)];
}

/** A colour of the style sheet, as a canvas takes it: of `light-dark(A, B)` the one that holds now. */
export function color(name: string): string {
  const text = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const both = /^light-dark\(([^,]+), *([^,)]+)\)$/.exec(text);
  return both === null ? text : both[isDark() ? 2 : 1];
}

/** Calls back when the colours change. */
export function onThemeChange(changed: () => void): void {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  document.addEventListener("themechange", changed);
}

/** Goes from light to dark or back. */
export function toggleTheme(): void {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  document.dispatchEvent(new Event("themechange"));
}
