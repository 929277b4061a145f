// Checks a trace file by rules of its own: any two complete events of a thread are nested or apart, asynchronous ones are in pairs, and
// threads and processes have names.
import type { ChromeEvent } from '#bench/trace/chrome.js';

export function problemsOf(events: readonly ChromeEvent[]): string[] {
  const problems: string[] = [];
  const threads = new Map<string, { start: number; end: number; name: string }[]>();
  const named = new Set(
    events
      .filter(({ ph, name }) => ph === 'M' && name === 'thread_name')
      .map(({ pid, tid }) => `${pid}.${tid}`),
  );
  const processes = new Set(
    events.filter(({ ph, name }) => ph === 'M' && name === 'process_name').map(({ pid }) => pid),
  );
  const waiting = new Map<string, string[]>();
  for (const event of events) {
    const { ph, name, pid, tid, ts, dur, id, args } = event;
    if (!Number.isFinite(ts)) problems.push(`${name} has no time`);
    if (!processes.has(pid)) problems.push(`process ${pid} has no name`);
    if (ph === 'X') {
      if (!(dur! >= 0)) problems.push(`${name} at ${ts} ends before it begins`);
      if (!named.has(`${pid}.${tid}`)) problems.push(`thread ${pid}.${tid} has no name`);
      const list = threads.get(`${pid}.${tid}`) ?? [];
      threads.set(`${pid}.${tid}`, list);
      // As viewers add it up.
      list.push({ start: ts, end: ts + dur!, name });
    }
    if (
      ph === 'C' &&
      !Object.values(args!).every((value) => typeof value === 'number' && Number.isFinite(value))
    )
      problems.push(`counter ${name} has no number`);
    if (ph === 'b') waiting.set(id!, [...(waiting.get(id!) ?? []), name]);
    if (ph === 'e' && waiting.get(id!)?.pop() !== name)
      problems.push(`${name} ends and is not the last that began`);
  }
  for (const [id, names] of waiting) if (names.length > 0) problems.push(`${names} of ${id} never end`);
  for (const [thread, spans] of threads) {
    const open: typeof spans = [];
    for (const span of spans.sort((a, b) => a.start - b.start || b.end - a.end)) {
      while (open.length > 0 && open.at(-1)!.end <= span.start) open.pop();
      const outer = open.at(-1);
      if (outer !== undefined && span.end > outer.end)
        problems.push(
          `${thread}: ${span.name} (${span.start}–${span.end}) overlaps ${outer.name} (${outer.start}–${outer.end})`,
        );
      open.push(span);
    }
  }
  return problems;
}
