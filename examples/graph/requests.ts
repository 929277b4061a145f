// The requests of one thread: the same seed gives the same ones on every side, however long a side takes.
import { type Shape, skewedKey } from './content.ts';

/** Of ten requests, so many are updates; the others are walks. */
const UPDATES_OF_TEN = 5;

export class RequestStream {
  isUpdate = false;
  /** Some keys are asked for much more often than others, and so by several threads at once. */
  key = 0;
  /** A walk's path, or what an update adds. */
  argument = 0;
  readonly #shape: Shape;
  #state: number;

  constructor(seed: number, thread: number, shape: Shape) {
    this.#shape = shape;
    this.#state = (seed + Math.imul(thread + 1, 0x9e3779b1)) | 0;
  }

  /** Goes on to the next request. */
  advance(): void {
    this.isUpdate = this.#next() % 10 < UPDATES_OF_TEN;
    this.key = skewedKey(this.#next(), this.#shape);
    this.argument = this.#next() & 0xffff;
  }

  /** Tommy Ettinger's mulberry32. */
  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }
}
