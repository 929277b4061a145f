// What a user without privileges gets.
import { createLibcKernel, probe, Userfaultfd } from '#src/uffd/index.js';

const { kind } = Userfaultfd.open(createLibcKernel());
process.stdout.write(`${JSON.stringify({ uid: process.getuid(), kind, probed: probe() })}\n`);
