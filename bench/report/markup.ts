// Markup as values: text is escaped when it enters, so that nothing a document says can become an element.
// What comes out is well-formed XML as well as HTML: a test can check it with a dozen lines.

export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Child = Markup | string | number | null | undefined | readonly Child[];
export type Attributes = Readonly<Record<string, string | number | boolean | null | undefined>>;

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character]!);
}

/** An element. Attributes that are null, undefined or false are left out. */
export function el(name: string, attributes: Attributes = {}, ...children: Child[]): Markup {
  const inside = children.map(render).join('');
  const start = `<${name}${Object.entries(attributes).map(attribute).join('')}`;
  // HTML knows no empty elements of this form but its own and those of SVG.
  const closed = inside === '' && EMPTY.has(name);
  return new Markup(closed ? `${start}/>` : `${start}>${inside}</${name}>`);
}

const EMPTY = new Set(['meta', 'br', 'hr', 'rect', 'line', 'path', 'circle', 'use']);

function attribute([name, value]: [string, Attributes[string]]): string {
  if (value === null || value === undefined || value === false) return '';
  return ` ${name}="${value === true ? '' : escapeText(String(value))}"`;
}

export function render(child: Child): string {
  if (child === null || child === undefined) return '';
  if (child instanceof Markup) return child.text;
  if (typeof child === 'object') return child.map(render).join('');
  return escapeText(String(child));
}

/** Text that is markup already: of this program, never of a document. */
export function raw(text: string): Markup {
  return new Markup(text);
}

/** A value as JSON inside a script element: nothing in it can end the element. */
export function jsonScript(id: string, value: unknown): Markup {
  const text = JSON.stringify(value).replaceAll('<', '\\u003c').replaceAll('\u2028', '\\u2028');
  return raw(`<script type="application/json" id="${escapeText(id)}">${text}</script>`);
}
