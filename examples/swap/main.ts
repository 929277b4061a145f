// Userspace swap, on the command line. See README.md beside the source; the protocol is in pager.ts.
//
// Exit status: 0 all well; 1 finished, but something could not be evicted or set up, or a byte was wrong; 2 usage; 70 fail-stop.
import { TospaceError } from 'tospace/uffd';
import { parseOptions, USAGE } from './options.ts';
import { formatReport, progressLine } from './report.ts';
import { runSwap } from './swap.ts';

const FAILED = 1;
const USAGE_STATUS = 2;

const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

try {
  const { options, json, help } = parseOptions(process.argv.slice(2));
  if (help) {
    process.stdout.write(USAGE);
  } else {
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
    if (report.verdict === 'wrong' || errors > 0) process.exitCode = FAILED;
  }
} catch (e) {
  if (!(e instanceof TospaceError)) throw e;
  say(`swap: ${e.code}: ${e.message}\n${e.hint}`);
  process.exitCode = e.code === 'ERR_OPTION' ? USAGE_STATUS : FAILED;
}
