// The smallest size that works, where all larger ones do too.

export interface Probe {
  readonly size: number;
  readonly ok: boolean;
}

export interface Bisection {
  /** The smallest that worked; null when none did. */
  readonly works: number | null;
  /** The largest that failed; null when none did. */
  readonly fails: number | null;
  readonly probes: readonly Probe[];
}

/**
 * Looks for the smallest size from `low` to `high` that works, to within `precision` of itself. Geometric: what matters is the ratio.
 * @param align sizes are multiples of it.
 * @param tries asks; a size is asked for once.
 */
export async function bisect(
  low: number,
  high: number,
  { align, precision }: { readonly align: number; readonly precision: number },
  tries: (size: number) => Promise<boolean>,
): Promise<Bisection> {
  const probes: Probe[] = [];
  const ask = async (size: number): Promise<boolean> => {
    const ok = await tries(size);
    probes.push({ size, ok });
    return ok;
  };
  const up = (size: number): number => Math.ceil(size / align) * align;
  let works = up(high);
  if (!(await ask(works))) return { works: null, fails: works, probes };
  let fails = up(low);
  if (fails >= works || (await ask(fails))) return { works: Math.min(fails, works), fails: null, probes };
  while (works - fails > align && works > fails * (1 + precision)) {
    const middle = Math.min(Math.max(up(Math.sqrt(fails * works)), fails + align), works - align);
    if (await ask(middle)) works = middle;
    else fails = middle;
  }
  return { works, fails, probes };
}
