// `tospace doctor`, as a person or a script runs it.
import { availableParallelism } from 'node:os';
import { expect, it } from 'vitest';
import { type ProbeReport, type ProbeRow, probe } from '#src/uffd/index.js';
import { runCommand } from '../support/child.ts';
import { runUnprivileged, unprivilegedObstacle } from '../support/unprivileged.ts';
import { MAIN, tospace } from './cli.ts';

const row = (stdout: string, id: string): ProbeRow =>
  (JSON.parse(stdout) as ProbeReport).rows.find((found) => found.id === id)!;
/** Runs it behind a command that limits it. */
const limited = (command: string, ...args: string[]) =>
  runCommand(command, [...args, process.execPath, MAIN, 'doctor', '--json']);

it('prints the report of probe() as JSON and nothing else', async () => {
  const { status, stdout, stderr } = await tospace('doctor', '--json');
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const printed = JSON.parse(stdout) as ProbeReport;
  const here = probe();
  expect(Object.keys(printed)).toEqual(Object.keys(here));
  expect(printed.verdict).toEqual(here.verdict);
  const lasting = ({ rows }: ProbeReport) =>
    rows.map(({ id, group, required, gives, without, values }) => ({
      id,
      group,
      required,
      gives,
      without,
      keys: Object.keys(values),
    }));
  expect(lasting(printed)).toEqual(lasting(here));
  // Generous: it takes a tenth of a second on a machine with nothing else to do.
  expect(printed.elapsedMs).toBeLessThan(10_000);
});

it('prints a table with every row, what is lost and what repairs it, and a verdict', async () => {
  const { status, stdout, stderr } = await tospace('doctor');
  expect(stderr).toBe('');
  expect(status).toBe(0);
  for (const { id, required, repair } of probe().rows) {
    const line = new RegExp(`^(ok|limited|missing|info) +${id}${required ? ' \\*' : ''} +\\S`, 'm');
    expect(stdout).toMatch(line);
    if (repair !== null) expect(stdout).toContain('repair:  ');
  }
  expect(stdout.match(/^ +gives: {3}\S/gm)!.length).toBe(probe().rows.length);
  expect(stdout.match(/^ +without: \S/gm)!.length).toBe(probe().rows.length);
  expect(stdout).toMatch(
    /^Verdict: the concurrent collector can run, with a (full|user-mode-only) userfaultfd/m,
  );
});

it('is content without privileges, and names the limits', async (context) => {
  const obstacle = await unprivilegedObstacle();
  if (obstacle !== undefined) context.skip(obstacle);
  const { status, stdout, stderr } = await runUnprivileged(process.execPath, MAIN, 'doctor');
  expect(stderr).toBe('');
  expect(status).toBe(0);
  if (stdout.includes('with a full userfaultfd')) return; // vm.unprivileged_userfaultfd=1, or a device for everybody
  const words = stdout.replace(/\s+/g, ' ');
  expect(words).toMatch(
    /limited uffd-access .* user-mode-only kind.*EFAULT.*vm\.unprivileged_userfaultfd is 0/,
  );
  expect(words).toContain('repair: sudo sysctl -w vm.unprivileged_userfaultfd=1');
  expect(words).toMatch(
    /Verdict: the concurrent collector can run, with a user-mode-only userfaultfd: .* EFAULT/,
  );
});

it('sees a limited affinity', async () => {
  const { status, stdout } = await limited('taskset', '-c', '0');
  expect(status).toBe(0);
  const found = row(stdout, 'cpu-affinity');
  expect(found).toMatchObject({ status: 'limited', values: { allowed: 1, cpus: '0' } });
  expect(found.found).toMatch(/take turns/);
  if (availableParallelism() > 1) expect(found.repair).toMatch(/^taskset -apc 0-\d+ \d+/);
});

it('sees few descriptors', async () => {
  const { status, stdout } = await limited('prlimit', '--nofile=64:64');
  expect(status).toBe(0);
  expect(row(stdout, 'limit-descriptors')).toMatchObject({
    status: 'limited',
    values: { soft: 64, hard: 64, used: expect.any(Number) },
    repair: 'sudo prlimit --pid $$ --nofile=4096',
  });
});

it('sees a limit of file sizes that leaves no room for a heap, and one that does', async () => {
  const small = await limited('prlimit', `--fsize=${2 ** 20}`);
  expect(row(small.stdout, 'limit-file-size')).toMatchObject({
    status: 'missing',
    found: expect.stringMatching(/EFBIG.*RLIMIT_FSIZE is 1 MiB/),
    repair: 'sudo prlimit --pid $$ --fsize=unlimited',
  });
  expect(small.status).toBe(1);
  const large = await limited('prlimit', `--fsize=${2 ** 32}:`);
  expect(row(large.stdout, 'limit-file-size')).toMatchObject({
    status: 'limited',
    values: { softBytes: 2 ** 32 },
    repair: 'ulimit -f unlimited',
  });
  expect(large.status).toBe(0);
});

it('sees an address space that is too small for a heap, and one that is just limited', async () => {
  const small = await limited('prlimit', `--as=${8 * 2 ** 30}`);
  expect(row(small.stdout, 'limit-address-space')).toMatchObject({
    status: 'missing',
    found: expect.stringMatching(/RLIMIT_AS is 8 GiB/),
    repair: 'sudo prlimit --pid $$ --as=unlimited',
  });
  expect(small.status).toBe(1);
  expect((JSON.parse(small.stdout) as ProbeReport).verdict.missing).toEqual(['limit-address-space']);
  // test/gc/e2e/environment.test.ts makes a heap there.
  const large = await limited('prlimit', `--as=${16 * 2 ** 30}`);
  expect(row(large.stdout, 'limit-address-space')).toMatchObject({
    status: 'limited',
    values: { softBytes: 16 * 2 ** 30 },
  });
  expect(large.status).toBe(0);
});

it('helps, and refuses what it does not know', async () => {
  const [help, wrong] = await Promise.all([tospace('doctor', '--help'), tospace('doctor', '--jason')]);
  expect(help).toMatchObject({
    status: 0,
    stderr: '',
    stdout: expect.stringMatching(/^Usage: tospace doctor/),
  });
  expect(wrong).toMatchObject({
    status: 2,
    stdout: '',
    stderr: expect.stringMatching(/"--jason" is not an option/),
  });
});
