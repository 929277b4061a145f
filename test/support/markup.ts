// Reads the report again, by rules of its own: an element that is not closed, an attribute that is not quoted or a bare `&` is an error.

export interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: Element[];
  /** Its own text and that of what is inside. */
  text: string;
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };

function decode(text: string): string {
  if (/&(?!amp;|lt;|gt;|quot;|#39;)/.test(text)) throw new Error(`a bare & in ${text.slice(0, 80)}`);
  return text.replace(/&([^;]+);/g, (_, name: string) => ENTITIES[name]!);
}

const ATTRIBUTE = /\s+([\w:-]+)="([^"<>]*)"/y;

function attributesOf(text: string): Record<string, string> {
  const attributes: Record<string, string> = {};
  ATTRIBUTE.lastIndex = 0;
  let end = 0;
  for (let match = ATTRIBUTE.exec(text); match !== null; match = ATTRIBUTE.exec(text)) {
    if (match[1]! in attributes) throw new Error(`${match[1]} twice in <${text}>`);
    attributes[match[1]!] = decode(match[2]!);
    end = ATTRIBUTE.lastIndex;
  }
  if (text.slice(end).trim() !== '') throw new Error(`not attributes: ${text.slice(end, end + 80)}`);
  return attributes;
}

/** @throws Error with the first thing that is not well-formed */
export function parseMarkup(html: string): Element {
  const root: Element = { name: '', attributes: {}, children: [], text: '' };
  const open: Element[] = [root];
  const addText = (text: string): void => {
    for (const element of open) element.text += text;
  };
  let at = html.indexOf('<html');
  while (at < html.length) {
    const next = html.indexOf('<', at);
    if (next === -1) {
      addText(decode(html.slice(at)));
      break;
    }
    addText(decode(html.slice(at, next)));
    const end = html.indexOf('>', next);
    if (end === -1) throw new Error(`a tag without an end: ${html.slice(next, next + 80)}`);
    const tag = html.slice(next + 1, end);
    at = end + 1;
    if (tag.startsWith('/')) {
      const closed = open.pop();
      if (closed?.name !== tag.slice(1)) throw new Error(`</${tag.slice(1)}> closes <${closed?.name}>`);
      continue;
    }
    const name = /^[\w-]+/.exec(tag)?.[0];
    if (name === undefined) throw new Error(`no name of an element: <${tag.slice(0, 80)}>`);
    const empty = tag.endsWith('/');
    const element: Element = {
      name,
      attributes: attributesOf(tag.slice(name.length, empty ? -1 : undefined)),
      children: [],
      text: '',
    };
    open.at(-1)!.children.push(element);
    if (empty) continue;
    open.push(element);
    if (name !== 'script' && name !== 'style') continue;
    // Their content is text as it is.
    const close = html.indexOf(`</${name}>`, at);
    element.text = html.slice(at, close);
    at = close;
  }
  if (open.length !== 1) throw new Error(`<${open.at(-1)!.name}> is not closed`);
  return root;
}

/** All elements that have the attributes, with these values; `undefined`: with any. In the order of the document. */
export function findAll(root: Element, wanted: Readonly<Record<string, string | undefined>>): Element[] {
  const found: Element[] = [];
  const visit = (element: Element): void => {
    const matches = Object.entries(wanted).every(([name, value]) =>
      value === undefined ? name in element.attributes : element.attributes[name] === value,
    );
    if (matches) found.push(element);
    for (const child of element.children) visit(child);
  };
  visit(root);
  return found;
}
