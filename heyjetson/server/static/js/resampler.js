// Another sample rate, block after block without a seam: a polyphase low-pass filter whose past is kept.

const CROSSINGS = 32; // of the sinc on each side: the longer, the steeper
const CUTOFF = 0.925; // of half the lower rate; the Kaiser window below is 80 dB down where the band ends
const BETA = 7.86;
const MOST_PHASES = 1024;

function bessel(x) { // modified, first kind, order 0
  let sum = 1, term = 1;
  for (let k = 1; term > 1e-12 * sum; k += 1) { term *= (x / (2 * k)) ** 2; sum += term; }
  return sum;
}

function divisor(a, b) { return b ? divisor(b, a % b) : a; }

/** Resamples a stream. The output does not depend on how the input is cut. */
export class Resampler {
  constructor(from, to) {
    this.from = from;
    this.to = to;
    const common = Number.isInteger(from) && Number.isInteger(to) ? divisor(from, to) : 1;
    this.phases = Math.min(to / common, MOST_PHASES);
    const scale = Math.min(1, to / from); // of the band that may pass
    this.half = Math.ceil(CROSSINGS / scale); // input samples on each side
    this.taps = this.half * 2;
    this.filters = Array.from({ length: this.phases + 1 }, (_, phase) => this.filter(phase / this.phases, scale));
    this.reset();
  }

  // Weights of the inputs around an output that lies `part` of a sample after the middle one.
  filter(part, scale) {
    const weights = new Float32Array(this.taps);
    let sum = 0;
    for (let tap = 0; tap < this.taps; tap += 1) {
      const distance = tap - this.half + 1 - part;
      const x = Math.PI * distance * scale * CUTOFF;
      const edge = distance / this.half;
      const window = Math.abs(edge) >= 1 ? 0 : bessel(BETA * Math.sqrt(1 - edge * edge)) / bessel(BETA);
      weights[tap] = (x === 0 ? 1 : Math.sin(x) / x) * window;
      sum += weights[tap];
    }
    return weights.map((weight) => weight / sum);
  }

  reset() {
    this.buffer = new Float32Array(this.half - 1); // silence before the first sample
    this.given = 0; // outputs
    this.first = -(this.half - 1); // number of the buffer's first input
  }

  /** The next inputs, any number of them → the outputs that they complete. */
  push(input) {
    if (this.from === this.to) return Float32Array.from(input);
    const all = new Float32Array(this.buffer.length + input.length);
    all.set(this.buffer);
    all.set(input, this.buffer.length);
    const made = [];
    for (;;) {
      const position = (this.given * this.from) / this.to;
      const whole = Math.floor(position);
      const phase = Math.round((position - whole) * this.phases);
      const start = whole - this.half + 1 - this.first;
      if (start + this.taps > all.length) break;
      const weights = this.filters[phase];
      let sum = 0;
      for (let tap = 0; tap < this.taps; tap += 1) sum += weights[tap] * all[start + tap];
      made.push(sum);
      this.given += 1;
    }
    const needed = Math.floor((this.given * this.from) / this.to) - this.half + 1 - this.first;
    const gone = Math.min(Math.max(needed, 0), all.length);
    this.buffer = all.slice(gone);
    this.first += gone;
    return Float32Array.from(made);
  }

  /** What the last inputs still hold. Only `reset` may follow. */
  finish() { return this.from === this.to ? new Float32Array(0) : this.push(new Float32Array(this.half)); }
}
