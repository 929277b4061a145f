// The one measurement of each configuration that is looked at closely: the run with the median wall time.

import type { BenchDocument, Configuration, Facts, Measurement } from '../harness/schema.ts';
import { configurationOf } from './text.ts';

export interface Representative {
  readonly configuration: Configuration;
  readonly measurement: Measurement;
  readonly facts: Facts;
}

/** In the order of the suite. */
export function representatives(document: BenchDocument): Representative[] {
  return document.analysis.configurations.flatMap(({ configuration, representative }) => {
    const measurement = document.measurements.find(({ id }) => id === representative);
    return measurement === undefined || measurement.facts === null
      ? []
      : [{ configuration: configurationOf(document, configuration), measurement, facts: measurement.facts }];
  });
}
