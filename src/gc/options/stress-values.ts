// The two options of stress that are objects, as values of an option string.
//
//   stress.crash      WORKER@POINT:HOW             server@fault:exit
//   stress.injection  rules joined by +            collector/mremap@2:ENOMEM+ioctl#c018aa3f@every1:5ms
//                     [THREAD/]CALL[#REQUEST]@[every]NTH:[ERRNO][:TIMEms]

import * as errnos from '../../uffd/index.ts';
import type { InjectionPlan, InjectionRule } from '../../uffd/index.ts';
import type { StressOptions } from './types.ts';
import type { ValueKind } from './values.ts';

type Crash = NonNullable<StressOptions['crash']>;

const WORKERS = ['collector', 'server'];
const WAYS = ['throw', 'exit'];

export function crash(points: readonly string[]): ValueKind {
  const all = [...points, 'fault'];
  const check = (value: unknown): unknown => {
    const { worker, at, how } = (value ?? {}) as Partial<Record<keyof Crash, string>>;
    return WORKERS.includes(worker!) && all.includes(at!) && WAYS.includes(how!) ? value : undefined;
  };
  return {
    notation: 'WORKER@POINT:HOW',
    rule: `{ worker, at, how }, in text WORKER@POINT:HOW: worker ${WORKERS.join(' or ')}, at ${all.join(', ')}, how ${WAYS.join(' or ')}`,
    parse: (text) => {
      const [, worker, at, how] = /^(\w+)@(\w+):(\w+)$/.exec(text) ?? [];
      return check({ worker, at, how });
    },
    check,
    print: (value) => {
      const { worker, at, how } = value as Crash;
      return `${worker}@${at}:${how}`;
    },
  };
}

const ERRNOS = new Map<string, number>(
  Object.entries(errnos).flatMap(([name, value]) =>
    /^E[A-Z0-9]+$/.test(name) && typeof value === 'number' ? [[name, value] as const] : [],
  ),
);
const NAMES = new Map([...ERRNOS].map(([name, errno]) => [errno, name]));

const RULE =
  /^(?:(\w+)\/)?(\w+|\*)(?:#([0-9a-f]+))?@(every)?(\d+)(?::(E[A-Z0-9]+|\d+))?(?::(\d+(?:\.\d+)?)ms)?$/;

function parseRule(text: string): InjectionRule | undefined {
  const match = RULE.exec(text);
  if (match === null) return undefined;
  const [, thread, call, request, every, nth, errno, delayMs] = match;
  const number = ERRNOS.get(errno!) ?? Number(errno);
  if (errno !== undefined && !(number > 0)) return undefined;
  return {
    call: call as InjectionRule['call'],
    nth: Number(nth),
    ...(every === undefined ? {} : { every: true }),
    ...(thread === undefined ? {} : { thread }),
    ...(request === undefined ? {} : { request: Number.parseInt(request, 16) }),
    ...(errno === undefined ? {} : { errno: number }),
    ...(delayMs === undefined ? {} : { delayMs: Number(delayMs) }),
  };
}

function printRule({ call, nth, every, thread, request, errno, delayMs }: InjectionRule): string {
  const where = `${thread === undefined ? '' : `${thread}/`}${call}${request === undefined ? '' : `#${request.toString(16)}`}`;
  const when = `@${every === true ? 'every' : ''}${nth}`;
  const what = `${errno === undefined ? '' : `:${NAMES.get(errno) ?? errno}`}${delayMs === undefined ? '' : `:${delayMs}ms`}`;
  return `${where}${when}${what}`;
}

export const injection: ValueKind = {
  notation: 'RULES',
  rule: 'a list of rules, in text [THREAD/]CALL[#REQUEST]@[every]NTH[:ERRNO][:TIMEms] joined by +',
  parse: (text) => {
    const rules = text.split('+').map(parseRule);
    return rules.includes(undefined) ? undefined : rules;
  },
  check: (value) => (Array.isArray(value) ? value : undefined),
  print: (value) => (value as InjectionPlan).map(printRule).join('+'),
};
