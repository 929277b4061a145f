// Mistakes on the command line, and the texts that say how it is used.

/** Exit status after a mistake on the command line. */
export const USAGE_STATUS = 2;

/** The command line cannot be understood; the message says which part and what is allowed. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}

export const USAGE = `Usage: tospace COMMAND [OPTIONS]

Commands:
  doctor          try what this kernel and process give a heap, and say what repairs the rest
  run WORKLOAD    run a workload on a heap and report pauses, faults, throughput and memory
  bench [SUITE]   measure workloads on all collectors; suites are quick, full, latency, scaling, min-heap
  compare A B     compare two documents of bench, and say what got worse
  bench floor     measure what the kernel alone takes for the steps of a collection
  bench flip      measure what moves of page tables cost, and what makes them cheap
  bench pauses    measure whether pauses grow with live data, pinned objects and handles

Options:
  --help          show this help, or a command's with \`tospace COMMAND --help\`
  --version       show the version
`;
