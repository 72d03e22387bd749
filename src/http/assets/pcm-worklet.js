// AudioWorklet: whatever the microphone gives -> mono, 16 kHz, s16le, 100 ms a chunk.
//
// The resampler is a windowed sinc evaluated at each output instant, so any input
// rate works (44.1, 48 kHz, 8 kHz of a headset). Cut-off 92 % of the smaller
// Nyquist; 24 zero crossings a side under a Kaiser window keep aliases below about -80 dB
// past the short transition band. 48 kHz costs some 2.5 M multiply-adds a second.

const OUT_HZ = 16000;
const CHUNK = OUT_HZ / 10;
const CROSSINGS = 24;
const BETA = 8.6;
const PHASES = 512; // kernel rows between two input samples; rows are blended linearly

/** Modified Bessel function I0, by its series. */
function bessel0(x) {
  let sum = 1, term = 1;
  for (let k = 1; term > 1e-10 * sum; k++) sum += term *= (x / (2 * k)) ** 2;
  return sum;
}

class Resampler {
  constructor(inHz) {
    this.step = inHz / OUT_HZ;
    const cut = 0.92 * Math.min(1, OUT_HZ / inHz); // of the input's Nyquist
    this.half = Math.ceil(CROSSINGS / cut);
    this.taps = 2 * this.half;
    this.kernel = Array.from({ length: PHASES + 1 }, (_, phase) => this.row(phase / PHASES, cut));
    this.buffer = new Float32Array(8192);
    this.filled = this.half; // silence before the first sample: output starts at input time 0
    this.at = this.half;
  }

  row(fraction, cut) {
    const row = new Float32Array(this.taps);
    let sum = 0;
    for (let i = 0; i < this.taps; i++) {
      const x = i - this.half + 1 - fraction;
      const edge = 1 - (x / this.half) ** 2;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * cut * x) / (Math.PI * cut * x);
      row[i] = edge <= 0 ? 0 : sinc * (bessel0(BETA * Math.sqrt(edge)) / bessel0(BETA));
      sum += row[i];
    }
    return row.map((tap) => tap / sum); // unity gain at 0 Hz on every row: no ripple between phases
  }

  push(samples, emit) {
    if (this.filled + samples.length > this.buffer.length) this.slide();
    this.buffer.set(samples, this.filled);
    this.filled += samples.length;
    for (; Math.floor(this.at) + this.half < this.filled; this.at += this.step) {
      const centre = Math.floor(this.at);
      const phase = (this.at - centre) * PHASES;
      const low = Math.floor(phase), blend = phase - low;
      const a = this.kernel[low], b = this.kernel[low + 1] ?? a;
      const first = centre - this.half + 1;
      let sum = 0;
      for (let i = 0; i < this.taps; i++) sum += this.buffer[first + i] * (a[i] + (b[i] - a[i]) * blend);
      emit(sum);
    }
  }

  slide() {
    const from = Math.max(0, Math.floor(this.at) - this.half);
    this.buffer.copyWithin(0, from, this.filled);
    this.filled -= from;
    this.at -= from;
  }
}

class PcmProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate);
    this.mono = new Float32Array(128);
    this.begin();
    this.port.onmessage = () => this.flush(); // the only message there is
  }

  begin() {
    this.chunk = new DataView(new ArrayBuffer(CHUNK * 2));
    this.count = 0;
    this.power = 0;
  }

  process([channels]) {
    if (this.over || !channels?.length) return !this.over;
    const length = channels[0].length;
    if (this.mono.length !== length) this.mono = new Float32Array(length);
    for (let i = 0; i < length; i++) {
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      this.mono[i] = sum / channels.length;
    }
    this.resampler.push(this.mono, (sample) => this.write(sample));
    return true;
  }

  write(sample) {
    const value = Math.max(-1, Math.min(1, sample)) || 0; // `|| 0`: NaN is silence
    this.chunk.setInt16(this.count * 2, Math.round(value * 32767), true);
    this.power += value * value;
    if (++this.count === CHUNK) this.hand();
  }

  hand() {
    const pcm = this.chunk.buffer.slice(0, this.count * 2);
    this.port.postMessage({ pcm, rms: Math.sqrt(this.power / this.count) }, [pcm]);
    this.begin();
  }

  /** The end: what is still inside the filter, then the last, shorter chunk. */
  flush() {
    this.over = true;
    this.resampler.push(new Float32Array(this.resampler.half), (sample) => this.write(sample));
    if (this.count) this.hand();
    this.port.postMessage({ over: true });
  }
}

registerProcessor('pcm', PcmProcessor);
