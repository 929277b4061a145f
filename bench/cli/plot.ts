// A plot for a terminal: plain characters, a logarithmic scale, a column for each place on the x axis. Every series has a sub-column of
// its own there, so that points of the same height do not hide each other.

export interface PlotSeries {
  /** One character. */
  readonly mark: string;
  readonly label: string;
  /** One value for each place on the x axis, greater than 0; null where there is none. */
  readonly values: readonly (number | null)[];
}

export interface Plot {
  readonly title: string;
  /** Names of the places on the x axis. */
  readonly places: readonly string[];
  readonly series: readonly PlotSeries[];
}

/** Lines for each factor of ten. */
const ROWS_PER_DECADE = 4;

/** The plot as lines of text. Without a single value only the title and that there is nothing. */
export function drawPlot({ title, places, series }: Plot): string {
  const values = series.flatMap((one) => one.values).filter((value) => value !== null);
  if (values.length === 0) return `${title}\n  (no values)\n`;
  const low = Math.floor(Math.log10(Math.min(...values)));
  // A value that is a power of ten itself lies on its line, not above it.
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  const rows = (high - low) * ROWS_PER_DECADE;
  const width = Math.max(series.length, ...places.map((place) => place.length)) + 2;
  const labelWidth = Math.max(String(10 ** high).length, tick(low).length) + 1;
  const lines: string[] = [];
  for (let row = rows; row >= 0; row--) {
    const isDecade = row % ROWS_PER_DECADE === 0;
    const columns = places.map((_, place) =>
      series
        .map(({ mark, values }) => {
          const value = values[place] ?? null;
          return value !== null && Math.round((Math.log10(value) - low) * ROWS_PER_DECADE) === row
            ? mark
            : isDecade
              ? '·'
              : ' ';
        })
        .join('')
        .padEnd(width, isDecade ? '·' : ' '),
    );
    const label = isDecade ? tick(low + row / ROWS_PER_DECADE) : '';
    lines.push(`${label.padStart(labelWidth)} │${columns.join('')}`.trimEnd());
  }
  const axis = `${' '.repeat(labelWidth)} └${'─'.repeat(places.length * width)}`;
  const names =
    `${' '.repeat(labelWidth + 2)}${places.map((place) => place.padEnd(width)).join('')}`.trimEnd();
  const legend = series.map(({ mark, label }) => `${' '.repeat(labelWidth + 2)}${mark}  ${label}`);
  return `${[title, ...lines, axis, names, ...legend].join('\n')}\n`;
}

function tick(exponent: number): string {
  return exponent >= 0 ? String(10 ** exponent) : (10 ** exponent).toFixed(-exponent);
}
