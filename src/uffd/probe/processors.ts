// CPUs: a collector is concurrent only where it has one that the program does not use.
import { allowedCpus } from '../cpu.ts';
import { cgroupCpus } from './cgroups.ts';
import { type ExperimentGroup, type Finding, info, type Lab, limited, ok } from './experiment.ts';

/** The number of CPUs in a list such as `0-3,8`. */
function countCpus(list: string): number {
  return list
    .trim()
    .split(',')
    .reduce((sum, range) => {
      const [first, last = first] = range.split('-').map(Number);
      return sum + last! - first! + 1;
    }, 0);
}

function affinity({ kernel, host }: Lab): Finding {
  const allowed = allowedCpus(kernel);
  const list = host.read('/sys/devices/system/cpu/online')?.trim();
  const online = list === undefined || list === '' ? undefined : countCpus(list);
  const values = { allowed: allowed.length, cpus: allowed.join(','), online: online ?? null };
  const found = `${allowed.length} of ${online ?? 'an unknown number of'} CPUs may be used: ${values.cpus}`;
  const repair =
    list === undefined
      ? undefined
      : `taskset -apc ${list} ${kernel.getpid()}  # in a container: docker update --cpuset-cpus ${list} CONTAINER`;
  if (allowed.length === 1)
    return limited(`${found}; collector and program take turns`, online === 1 ? undefined : repair, values);
  if (online !== undefined && allowed.length < online) return limited(found, repair, values);
  return ok(found, values);
}

function quota({ host }: Lab): Finding {
  const limit = cgroupCpus(host);
  if (limit === undefined) return info('no control group limits CPU time', { cpus: null, file: null });
  return limited(
    `the control group may use the time of ${Number(limit.cpus.toFixed(2))} CPUs (${limit.file}); when it is used up, everybody waits`,
    limit.file.endsWith('cpu.max') ? `echo max | sudo tee ${limit.file}` : `echo -1 | sudo tee ${limit.file}`,
    { cpus: limit.cpus, file: limit.file },
  );
}

export const PROCESSORS: ExperimentGroup = {
  group: 'processors',
  experiments: [
    {
      id: 'cpu-affinity',
      gives: 'the collector and its fault servers run beside the program',
      without: 'collections take time from the program, as with any collector',
      run: affinity,
    },
    {
      id: 'cpu-quota',
      gives: 'pauses that are as short as they are measured to be',
      without: 'a pause may last for the rest of a scheduling period, usually 100 ms',
      run: quota,
    },
  ],
};
