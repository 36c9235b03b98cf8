import { signal, type Signal } from '@preact/signals';
import { backoff, pause } from '../shared/backoff.ts';
import type { Pulse } from '../shared/space.ts';
import { onAir } from '../shared/space.ts';
import type { Address } from './address.ts';
import { Behind } from './behind.ts';
import type { Box } from './boxes.ts';
import { decodeTime, depthIn, pulseIn, readEvent } from './fragment.ts';
import { askLine, Line } from './line.ts';
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
  | 'held' // connected, but the server has lost its line to the stage
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

/** Less than this to play on with, in seconds, and nothing for so long: something is wrong with the line. */
const NEARLY_DRY = 0.3;
const SILENT = 1.2;

/** Seconds of silence beyond the depth after which a connection is taken for dead. */
const DEAD = 8;

/** Seconds after which a connection counts as a good one, and a loss of it as the first. */
const GOOD = 5;

/**
 * The stream is one connection from hold audio to the last word. When it is lost, or
 * its server has nothing, the page moves to another one while the sound goes on from
 * what is buffered. `onRefused` hears of a stream that is not there.
 */
export class StreamPlayer implements Player {
  readonly state = signal<PlayerState>('idle');
  readonly pulse = signal<Pulse | null>(null);
  readonly lostSince = signal<number | null>(null);
  readonly behind = signal<number | null>(null);

  private sink: Sink | null = null;
  private session: AbortController | null = null;
  private connection: AbortController | null = null;
  /** The server of the connection; "" is the page's own. */
  private server = '';
  private ticker = 0;
  private readonly pulses = new PulseQueue();
  private readonly sound = new Behind();
  private readonly line = new Line();
  /** When the newest block came, or the connection was made, in seconds. */
  private cameAt = 0;
  private connected = false;
  private finished = false;
  private wake: () => void = () => {};
  private headBoxes: Uint8Array[] = [];
  private moof: Box | null = null;

  constructor(
    private readonly audio: HTMLAudioElement,
    private readonly address: Address,
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
    this.connection?.abort();
    this.line.came();
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
    const { edges } = this.address;
    try {
      for (let tries = 0; ; tries++) {
        if (!this.isOpen()) await this.untilDoorsOpen(signal);
        await edges.settled();
        if (signal.aborted) return;
        this.server = edges.pick();
        const { outcome, lasted } = await this.listen(this.server);
        if (signal.aborted) return;
        this.connected = false;
        this.line.came();
        if (this.isOver(outcome)) return;
        this.lostSince.value ??= Date.now();
        edges.lost(this.server);
        if (lasted > GOOD) tries = 0;
        const elsewhere = edges.hasOther(this.server);
        // The first move to another server is made at once: the buffer bridges it, and nobody hears it.
        if (tries > 0 || !elsewhere) await pause(waitFor(outcome, tries, elsewhere), signal);
      }
    } catch (error) {
      if (!signal.aborted) this.end('failed');
    }
  }

  /** One connection, to its end; `lasted` is in seconds. */
  private async listen(server: string): Promise<{ outcome: Outcome; lasted: number }> {
    this.connection = new AbortController();
    let since = Infinity;
    const outcome = await readStream(this.address.pushed(server, this.sink?.depth ?? null), this.connection, {
      opened: () => {
        since = seconds();
        this.opened();
      },
      box: (box) => this.take(box),
      patience: () => (this.line.held ? Infinity : DEAD + (this.sink?.pace.target ?? 0)),
    });
    return { outcome, lasted: seconds() - since };
  }

  private opened(): void {
    this.connected = true;
    this.cameAt = seconds();
    this.lostSince.value = null;
    this.headBoxes = [];
    this.pulses.restart();
    this.sound.restart();
  }

  /** True once nothing more will come on this stream. */
  private isOver(outcome: Outcome): boolean {
    if (outcome.kind === 'finished' && this.pulses.received && !onAir(this.pulses.received.phase)) {
      this.finished = true;
      this.sink?.finish();
      return true;
    }
    if (outcome.kind !== 'refused') return false;
    // An edge that does not know the space may be a young one; the page's own server knows.
    if (outcome.status === 410 || (outcome.status === 404 && this.server === '')) {
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
      this.takeEvent(box);
    } else if (box.type === 'ftyp') {
      this.headBoxes = [box.bytes];
    } else if (box.type === 'moov') {
      this.sink?.init(...this.headBoxes, box.bytes);
    } else if (box.type === 'moof') {
      this.moof = box;
    } else if (box.type === 'mdat' && this.moof) {
      const start = decodeTime(this.moof);
      if (start !== null) {
        this.cameAt = seconds();
        this.line.came();
        this.sound.came(this.cameAt, start);
        this.sink?.fragment(start, this.moof.bytes, box.bytes);
      }
      this.moof = null;
      // In a tab behind others the ticker may sleep for a minute; the stream does not.
      this.look();
    }
  }

  private takeEvent(box: Box): void {
    const event = readEvent(box);
    if (!event) return;
    const depth = depthIn(event);
    if (depth !== null) this.sink?.pace.follow(depth);
    const message = pulseIn(event);
    if (!message) return;
    this.pulses.push(message);
    // Where else to go is good to know at once, not when its sound is heard.
    this.address.edges.learn(this.pulses.received?.edges, this.server);
  }

  /** Keeps the sound near the live edge and tells what is so. */
  private look(): void {
    const { sink, audio } = this;
    if (!sink) return;
    const now = seconds();
    sink.tick(now);
    const dry = this.connected && !this.finished && sink.reserve < NEARLY_DRY && now - this.cameAt > SILENT;
    if (this.line.look(now, dry)) void this.askAfterLine();
    this.showPulse(sink);
    if (this.finished && (audio.ended || sink.ahead < 0.05)) {
      this.pulse.value = this.pulses.received;
      this.end('over');
      return;
    }
    const state = this.state.peek();
    if (state === 'waiting' || (state === 'blocked' && audio.paused)) return;
    this.state.value = this.derive(sink);
    const behind = sink.flowing ? this.sound.behind(now, audio.currentTime) : null;
    this.behind.value = behind === null ? null : Math.round(behind * 2) / 2;
  }

  private derive(sink: Sink): PlayerState {
    if (sink.flowing) return 'playing';
    if (this.connected && this.line.held) return 'held';
    if (this.connected || this.finished) return 'buffering';
    return this.lostSince.peek() ? 'lost' : 'connecting';
  }

  /** The connection lives and nothing comes: its server may know why, and another may have the sound. */
  private async askAfterLine(): Promise<void> {
    const { address, connection, line, server } = this;
    const answer = await askLine(address.pulse(server));
    let move = line.answered(seconds(), answer) === 'move';
    const elsewhere = address.edges.hasOther(server);
    if (!move && elsewhere && line.weary(seconds())) {
      move = (await askLine(address.pulse(address.edges.pick(server)))) === 'fine' && line.held;
    }
    // Without another server, one that answers is stayed with: its silence is the programme's.
    if (move && (elsewhere || answer === 'dead') && this.connection === connection) connection?.abort();
  }

  private showPulse(sink: Sink): void {
    // Before any sound there is nothing to be in time with.
    const position = sink.flowing || this.finished ? this.audio.currentTime : Infinity;
    const due = this.pulses.due(position);
    if (due) this.pulse.value = due;
  }
}

const seconds = (): number => performance.now() / 1000;

/** Milliseconds to the next try. Who asks for a long wait is waited for only where there is nobody else to go to. */
function waitFor(outcome: Outcome, tries: number, elsewhere: boolean): number {
  const asked = !elsewhere && outcome.kind === 'refused' && outcome.retryAfter !== null ? outcome.retryAfter * 1000 : 0;
  const pause = backoff(tries, Math.random, 500, tries < HOPEFUL ? SOON : undefined);
  return Math.max(pause, asked * (1 + Math.random() / 4));
}
