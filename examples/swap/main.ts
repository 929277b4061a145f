// Userspace swap, on the command line. See README.md beside the source; the protocol is in pager.ts.
//
// Exit status: 0 all well; 1 finished, but something could not be evicted or set up, or a byte was wrong; 2 usage; 70 fail-stop.
import { FAILED_STATUS, main } from '../support/command.ts';
import { parseOptions, USAGE } from './options.ts';
import { formatReport, progressLine } from './report.ts';
import { runSwap } from './swap.ts';

const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

async function swap(): Promise<number> {
  const { options, json, help } = parseOptions(process.argv.slice(2));
  if (help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (!json) say('filling memory …');
  let errors = 0;
  const report = await runSwap(options, {
    onNote: (text) => say(`note: ${text}`),
    onProgress: (progress) => {
      if (!json) say(progressLine(progress));
    },
    onEvictionError: ({ code, message, hint, broughtBack }) => {
      errors++;
      const what = `eviction failed, ${broughtBack} regions stay in memory: ${code}: ${message}`;
      // The hint once: the same error comes back as long as its cause stays.
      say(errors === 1 && hint !== undefined ? `${what}\n  ${hint}` : what);
    },
  });
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : formatReport(report));
  return report.verdict === 'wrong' || errors > 0 ? FAILED_STATUS : 0;
}

await main('swap', swap);
