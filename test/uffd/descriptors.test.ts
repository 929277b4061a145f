import { expect, test } from 'vitest';
import { createLibcKernel, Memfd, O_CLOEXEC, O_NONBLOCK, StopSignal, Userfaultfd } from '#src/uffd/index.js';
import { descriptorFlags } from '../support/resources.ts';

// A child that inherited one of these would keep registrations and memory alive after we close them.
const kernel = createLibcKernel();

test.each([
  ['a userfaultfd of the best kind', () => Userfaultfd.open(kernel), O_CLOEXEC | O_NONBLOCK],
  [
    'a user-mode-only one',
    () => Userfaultfd.open(kernel, { kind: 'user-mode-only' }),
    O_CLOEXEC | O_NONBLOCK,
  ],
  ['a stop signal', () => StopSignal.create(kernel), O_CLOEXEC | O_NONBLOCK],
  ['a memory file', () => Memfd.create(kernel, 'flags', kernel.getpagesize()), O_CLOEXEC],
])('%s closes on exec, and never blocks a reader', (_, open, flags) => {
  const resource = open();
  expect(descriptorFlags(resource.fd) & (O_CLOEXEC | O_NONBLOCK)).toBe(flags);
  resource.close();
});
