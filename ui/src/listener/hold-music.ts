/**
 * A quiet piece that goes round: four chords of slow, soft tones. It sounds like the
 * hold music of the programme, and unlike anything that a person would say.
 */

/** Seconds of a chord, and of all four. */
const CHORD = 4;
const LENGTH = 4 * CHORD;

/** Samples a second: nothing in it is above 2 kHz. */
export const RATE = 12_000;

/** The chords, as half tones from A3: Am7, Fmaj7, Cmaj7, G6. */
const CHORDS = [
  [0, 3, 7, 10],
  [-4, 0, 3, 7],
  [-9, 3, 7, 14],
  [-2, 2, 5, 9],
];

/** Overtones and how loud they are. */
const COLOUR = [1, 0.28, 0.1];

/** Peak of the whole at full volume: well below a voice. */
const LEVEL = 0.16;

/** Seconds in which it comes and goes. */
const COME = 1.5;
const GO = 0.6;

/** The samples of one round. Each tone dies away across the seam, so that none is heard. */
export function round(): Float32Array<ArrayBuffer> {
  const out = new Float32Array(LENGTH * RATE);
  CHORDS.forEach((tones, chord) => {
    tones.forEach((tone, nth) => add(out, 220 * 2 ** (tone / 12), (chord * CHORD + nth * 0.5) * RATE));
  });
  const peak = out.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return out.map((x) => (x / peak) * LEVEL);
}

/** Adds a tone that swells for a second and dies away over five. */
function add(out: Float32Array, hz: number, from: number): void {
  for (let i = 0; i < 6 * RATE; i++) {
    const t = i / RATE;
    const swell = t < 1 ? Math.sin((t * Math.PI) / 2) ** 2 : Math.cos(((t - 1) / 5) * (Math.PI / 2)) ** 2;
    const at = (from + i) % out.length;
    out[at] = (out[at] ?? 0) + swell * COLOUR.reduce((sum, loud, k) => sum + loud * Math.sin(2 * Math.PI * hz * (k + 1) * t), 0);
  }
}

/** Plays it, in the page's own audio context. */
export class HoldMusic {
  private readonly gain: GainNode;
  private source: AudioBufferSourceNode | null = null;
  private readonly buffer: AudioBuffer;

  constructor(private readonly context: AudioContext) {
    const samples = round();
    this.buffer = context.createBuffer(1, samples.length, RATE);
    this.buffer.copyToChannel(samples, 0);
    this.gain = context.createGain();
    this.gain.gain.value = 0;
    this.gain.connect(context.destination);
  }

  /** Comes or goes softly; `volume` is 0 to 1. */
  play(wanted: boolean, volume: number): void {
    const { context, gain } = this;
    if (wanted) this.begin();
    // A context that was suspended has a clock that stood still; its time constants are right all the same.
    gain.gain.cancelScheduledValues(context.currentTime);
    gain.gain.setTargetAtTime(wanted ? volume : 0, context.currentTime, (wanted ? COME : GO) / 3);
    if (!wanted) this.finish();
  }

  private begin(): void {
    void this.context.resume();
    if (this.source) return;
    this.source = new AudioBufferSourceNode(this.context, { buffer: this.buffer, loop: true });
    this.source.connect(this.gain);
    this.source.start();
  }

  private finish(): void {
    const { source } = this;
    if (!source) return;
    this.source = null;
    source.onended = () => {
      source.disconnect();
      if (!this.source) void this.context.suspend();
    };
    source.stop(this.context.currentTime + 2 * GO);
  }
}
