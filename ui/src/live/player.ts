import { signal, type Signal } from '@preact/signals';
import { backoff, pause } from '../shared/backoff.ts';
import type { Pulse } from '../shared/space.ts';
import { onAir } from '../shared/space.ts';
import type { Box } from './boxes.ts';
import { Edge } from './edge.ts';
import { decodeTime, readPulse } from './fragment.ts';
import { PulseQueue } from './pulses.ts';
import { Sink, type Feed } from './sink.ts';
import { readStream, type Outcome } from './stream.ts';

/** What the sound is doing. */
export type PlayerState =
  | 'idle' // the button was not pressed, or stopped
  | 'waiting' // pressed; the doors are closed yet
  | 'connecting'
  | 'buffering' // connected, not enough to play on
  | 'playing'
  | 'lost' // no connection; tries again by itself
  | 'blocked' // the browser wants another press
  | 'over' // the stream came to its end
  | 'failed'; // the browser can't play it

/** What a page does with the sound, whichever way the browser plays it. */
export interface Player {
  readonly state: Signal<PlayerState>;
  /** The newest pulse that is due with the sound; null before the first. */
  readonly pulse: Signal<Pulse | null>;
  /** When the connection was lost, in ms since 1970; null while there is one. */
  readonly lostSince: Signal<number | null>;
  /** Seconds that the sound is behind the stage, to the half; null when that is not known. */
  readonly behind: Signal<number | null>;
  /** Must be called from a press: browsers start sound for nothing else. */
  press(): void;
  stop(): void;
  /** The page learned that the programme runs: connect at once if pressed. */
  doorsOpened(): void;
}

/**
 * The longest pause, in ms, of the first tries after a loss: some 20 s, in which a
 * server that was started anew is back, and its listeners hear again at once.
 */
const SOON = 2_000;
const HOPEFUL = 14;

/** Milliseconds between two looks at the sound. */
const TICK = 200;

/** The stream is one connection from hold audio to the last word; `onRefused` hears of one that is not there. */
export class StreamPlayer implements Player {
  readonly state = signal<PlayerState>('idle');
  readonly pulse = signal<Pulse | null>(null);
  readonly lostSince = signal<number | null>(null);
  readonly behind = signal<number | null>(null);

  private sink: Sink | null = null;
  private session: AbortController | null = null;
  private ticker = 0;
  private readonly pulses = new PulseQueue();
  private readonly edge = new Edge();
  private connected = false;
  private finished = false;
  private wake: () => void = () => {};
  private headBoxes: Uint8Array[] = [];
  private moof: Box | null = null;

  constructor(
    private readonly audio: HTMLAudioElement,
    private readonly url: string,
    private readonly feed: Feed,
    /** Does the programme run, as far as the page knows? */
    private readonly isOpen: () => boolean,
    private readonly onRefused: (status: number) => void,
  ) {
    audio.addEventListener('pause', () => this.paused());
    audio.addEventListener('play', () => this.state.peek() === 'blocked' && this.look());
  }

  press(): void {
    if (this.state.peek() === 'blocked') {
      this.play();
      return;
    }
    if (this.session) return;
    this.session = new AbortController();
    this.finished = false;
    this.sink = new Sink(this.audio, this.feed, () => this.end('failed'));
    this.state.value = 'connecting';
    this.play();
    this.ticker = window.setInterval(() => this.look(), TICK);
    void this.run(this.session.signal);
  }

  stop(): void {
    this.end('idle');
    this.pulse.value = null;
  }

  doorsOpened(): void {
    this.wake();
  }

  private play(): void {
    this.audio.play().catch((error: unknown) => {
      if (!(error instanceof DOMException) || !this.session) return;
      if (error.name === 'NotAllowedError') this.state.value = 'blocked';
      if (error.name === 'NotSupportedError') this.end('failed');
    });
  }

  /** A headset's button, another app or the system paused the sound: that is a stop, told as one. */
  private paused(): void {
    if (this.session && this.connected && !this.finished && !this.audio.ended) this.stop();
  }

  private end(state: PlayerState): void {
    this.session?.abort();
    this.session = null;
    clearInterval(this.ticker);
    this.sink?.close();
    this.sink = null;
    this.connected = false;
    this.lostSince.value = null;
    this.pulses.restart();
    this.state.value = state;
  }

  /** Connects, and again after each loss, until the programme is over or the listener leaves. */
  private async run(signal: AbortSignal): Promise<void> {
    try {
      for (let tries = 0; ; ) {
        if (!this.isOpen()) await this.untilDoorsOpen(signal);
        const outcome = await readStream(this.url, signal, () => this.opened(() => (tries = 0)), (box) => this.take(box));
        this.connected = false;
        if (this.isOver(outcome)) return;
        this.lostSince.value ??= Date.now();
        await pause(waitFor(outcome, tries++), signal);
      }
    } catch (error) {
      if (!signal.aborted) this.end('failed');
    }
  }

  private opened(settled: () => void): void {
    settled();
    this.connected = true;
    this.lostSince.value = null;
    this.headBoxes = [];
    this.pulses.restart();
    this.edge.restart();
  }

  /** True once nothing more will come on this stream. */
  private isOver(outcome: Outcome): boolean {
    if (outcome.kind === 'finished' && this.pulses.received && !onAir(this.pulses.received.phase)) {
      this.finished = true;
      this.sink?.finish();
      return true;
    }
    if (outcome.kind === 'refused' && (outcome.status === 410 || outcome.status === 404)) {
      this.end(outcome.status === 410 ? 'over' : 'idle');
      this.onRefused(outcome.status);
      return true;
    }
    return false;
  }

  /** The page asks for the space politely and wakes us: a crowd that waits asks for no stream. */
  private async untilDoorsOpen(signal: AbortSignal): Promise<void> {
    this.state.value = 'waiting';
    await new Promise<void>((resolve, reject) => {
      this.wake = resolve;
      signal.addEventListener('abort', () => reject(signal.reason));
    });
    this.state.value = 'connecting';
  }

  private take(box: Box): void {
    if (box.type === 'emsg') {
      const message = readPulse(box);
      if (message) this.pulses.push(message);
    } else if (box.type === 'ftyp') {
      this.headBoxes = [box.bytes];
    } else if (box.type === 'moov') {
      this.sink?.init(...this.headBoxes, box.bytes);
    } else if (box.type === 'moof') {
      this.moof = box;
    } else if (box.type === 'mdat' && this.moof) {
      const start = decodeTime(this.moof);
      if (start !== null) {
        this.edge.came(performance.now() / 1000, start);
        this.sink?.fragment(start, this.moof.bytes, box.bytes);
      }
      this.moof = null;
      // In a tab behind others the ticker may sleep for a minute; the stream does not.
      this.look();
    }
  }

  /** Keeps the sound near the live edge and tells what is so. */
  private look(): void {
    const { sink, audio } = this;
    if (!sink) return;
    sink.tick(performance.now() / 1000);
    this.showPulse(sink);
    if (this.finished && (audio.ended || sink.ahead < 0.05)) {
      this.pulse.value = this.pulses.received;
      this.end('over');
      return;
    }
    const now = this.state.peek();
    if (now === 'waiting' || (now === 'blocked' && audio.paused)) return;
    this.state.value = this.derive(sink);
    const behind = sink.flowing ? this.edge.behind(performance.now() / 1000, audio.currentTime) : null;
    this.behind.value = behind === null ? null : Math.round(behind * 2) / 2;
  }

  private derive(sink: Sink): PlayerState {
    if (sink.flowing) return 'playing';
    if (this.connected || this.finished) return 'buffering';
    return this.lostSince.peek() ? 'lost' : 'connecting';
  }

  private showPulse(sink: Sink): void {
    // Before any sound there is nothing to be in time with.
    const position = sink.flowing || this.finished ? this.audio.currentTime : Infinity;
    const due = this.pulses.due(position);
    if (due) this.pulse.value = due;
  }
}

function waitFor(outcome: Outcome, tries: number): number {
  const asked = outcome.kind === 'refused' && outcome.retryAfter !== null ? outcome.retryAfter * 1000 : 0;
  const pause = backoff(tries, Math.random, 500, tries < HOPEFUL ? SOON : undefined);
  return Math.max(pause, asked * (1 + Math.random() / 4));
}
