// What a document can be written as. A kind without a writer is refused on the command line.

import type { BenchDocument } from './schema.ts';

export type OutputKind = 'json' | 'html' | 'trace';

export type Writer = (document: BenchDocument) => string | Promise<string>;

export const OUTPUTS: Readonly<Record<OutputKind, Writer | undefined>> = {
  json: (document) => `${JSON.stringify(document)}\n`,
  html: async (document) => (await import('../report/report.ts')).reportHtml(document),
  trace: async (document) => {
    const { chromeTraceText } = await import('../trace/chrome.ts');
    return chromeTraceText((await import('../trace/document.ts')).tracedProcesses(document));
  },
};
