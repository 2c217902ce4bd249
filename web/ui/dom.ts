/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/**
 * Making elements. Text only ever becomes text nodes and attributes that hold no code: nothing here parses markup.
 *
 * @module
 */
import { harmless } from "../../analysis/text.ts";

/** Attributes that may be set: none of them is run, followed or loaded. */
type Attributes = Partial<
  Record<
    | "class"
    | "id"
    | "type"
    | "title"
    | "role"
    | "tabindex"
    | "scope"
    | "for"
    | "rows"
    | "spellcheck"
    | "placeholder"
    | "value"
    | "colspan"
    | "maxlength"
    | `aria-${string}`
    | `data-${string}`,
    string
  >
>;

/** An element with attributes and children; strings become text. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value ?? "");
  element.append(...children);
  return element;
}

/** The guest's text for showing: control and invisible characters are spelt out. */
export function shown(text: string): string {
  return harmless(text);
}

/** A button with what it does. */
export function button(text: string, title: string, action: () => void): HTMLButtonElement {
  const b = el("button", { type: "button", title }, text);
  b.addEventListener("click", action);
  return b;
}

/** A group of buttons of which one is pressed. */
export function choice<T extends string>(
  label: string,
  options: readonly (readonly [value: T, text: string])[],
  chosen: T,
  choose: (value: T) => void,
): HTMLElement {
  const group = el("div", { class: "choice", role: "group", "aria-label": label });
  const buttons = options.map(([value, text]) => {
    const b = button(text, `${label}: ${text}`, () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === b));
      choose(value);
    });
    b.setAttribute("aria-pressed", String(value === chosen));
    return b;
  });
  group.append(...buttons);
  return group;
}

/** What a panel says when it has nothing to show. */
export function empty(text: string): HTMLElement {
  return el("p", { class: "empty" }, text);
}

/** Shorter name of an exit reason, for narrow places. */
export function reasonText(reason: string): string {
  return shown(reason.replace(/^VMEXIT_/, ""));
}
