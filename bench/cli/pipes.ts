// Standard output and error when nobody reads them any more.

/** Whoever reads our output may have seen enough (`| head`): the rest goes nowhere, and the exit status still says how it went. */
export function allowClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (e: NodeJS.ErrnoException) => {
      if (e.code !== 'EPIPE') throw e;
    });
  }
}
