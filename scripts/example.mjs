// `npm run example NAME [-- ARGUMENTS]`: runs the example of that name, built before.
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), 'dist', 'examples');
const [name = '', ...rest] = process.argv.slice(2);
const main = join(folder, name, 'main.js');
if (name === '' || !existsSync(main)) {
  const all = existsSync(folder) ? readdirSync(folder) : [];
  const names = all.filter((one) => existsSync(join(folder, one, 'main.js'))).join(', ') || 'none';
  process.stderr.write(`npm run example NAME [-- ARGUMENTS], where NAME is one of: ${names}\n`);
  process.exit(2);
}
process.argv = [process.argv[0], main, ...rest];
await import(pathToFileURL(main).href);
