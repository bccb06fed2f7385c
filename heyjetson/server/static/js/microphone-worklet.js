// In the audio thread: one channel → the wanted rate → int16 pieces with their level.

import { Resampler } from "./resampler.js";

const PIECE = 0.04; // seconds

class Microphone extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.resampler = new Resampler(sampleRate, processorOptions.rate);
    this.piece = new Int16Array(Math.round(processorOptions.rate * PIECE));
    this.begin();
    this.running = true;
    this.port.onmessage = () => { // the only message: stop
      this.take(this.resampler.finish());
      this.give();
      this.port.postMessage({ done: true });
      this.running = false;
    };
  }

  begin() { this.filled = 0; this.peak = 0; this.squares = 0; }

  take(samples) {
    for (const sample of samples) {
      const size = Math.abs(sample);
      if (size > this.peak) this.peak = size;
      this.squares += sample * sample;
      this.piece[this.filled] = Math.max(-32768, Math.min(32767, Math.round(sample * 32767)));
      this.filled += 1;
      if (this.filled === this.piece.length) this.give();
    }
  }

  give() {
    if (!this.filled) return;
    const pcm = this.piece.slice(0, this.filled).buffer;
    this.port.postMessage({ pcm, peak: this.peak, rms: Math.sqrt(this.squares / this.filled) }, [pcm]);
    this.begin();
  }

  process([channels]) {
    if (this.running && channels.length === 1) this.take(this.resampler.push(channels[0]));
    else if (this.running && channels.length) {
      const mean = channels[0].map((sample, index) => channels.reduce((sum, other) => sum + other[index], 0) / channels.length);
      this.take(this.resampler.push(mean));
    }
    return this.running;
  }
}

registerProcessor("microphone", Microphone);
