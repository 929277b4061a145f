import { createRequire } from 'node:module';

/** The version in package.json, found through the package's own name wherever it is installed. */
export function packageVersion(): string {
  const require = createRequire(import.meta.url);
  return (require('tospace/package.json') as { version: string }).version;
}
