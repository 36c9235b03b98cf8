import { signal } from '@preact/signals';
import { backoff } from '../shared/backoff.ts';
import { onAir, type Pulse } from '../shared/space.ts';
import type { Player, PlayerState } from './player.ts';

/** Milliseconds between two looks at the pulse. */
const POLL = 3_000;

/** Milliseconds without sound after which a connection is made anew. */
const PATIENCE = 12_000;

/** Can this browser play Ogg Opus by itself? */
export function playsOgg(): boolean {
  return document.createElement('audio').canPlayType('audio/ogg; codecs="opus"') !== '';
}

/**
 * The way for browsers that can't be fed: the audio element reads the Ogg stream
 * itself, and the pulse is asked for beside it.
 */
export class PlainPlayer implements Player {
  readonly state = signal<PlayerState>('idle');
  readonly pulse = signal<Pulse | null>(null);
  readonly lostSince = signal<number | null>(null);
  /** The element tells nothing of what it keeps back. */
  readonly behind = signal<number | null>(null);

  private pressed = false;
  private poll = 0;
  private retry = 0;
  private tries = 0;
  private connections = 0;
  private dog = 0;

  constructor(
    private readonly audio: HTMLAudioElement,
    private readonly base: string,
    /** Does the programme run, as far as the page knows? */
    private readonly isOpen: () => boolean,
  ) {
    audio.addEventListener('playing', () => this.playing());
    audio.addEventListener('waiting', () => this.dry());
    audio.addEventListener('error', () => this.broke());
    audio.addEventListener('ended', () => this.broke());
  }

  press(): void {
    this.pressed = true;
    this.connect();
    clearInterval(this.poll);
    this.poll = window.setInterval(() => void this.ask(), POLL);
  }

  stop(): void {
    this.end('idle');
    this.pulse.value = null;
  }

  doorsOpened(): void {
    if (this.state.peek() === 'waiting') this.connect();
  }

  private connect(): void {
    clearTimeout(this.retry);
    if (!this.isOpen()) {
      this.state.value = 'waiting';
      return;
    }
    this.state.value = this.lostSince.peek() ? 'lost' : 'connecting';
    // A new address each time: browsers answer a known one with what they kept of it.
    this.audio.src = `${this.base}.ogg?${++this.connections}`;
    this.watch();
    this.audio.play().catch((error: unknown) => {
      if (error instanceof DOMException && error.name === 'NotAllowedError') this.state.value = 'blocked';
    });
  }

  private dry(): void {
    if (!this.pressed) return;
    this.state.value = 'buffering';
    this.watch();
  }

  /** No sound for long: this connection is dead, whatever the element thinks. */
  private watch(): void {
    clearTimeout(this.dog);
    this.dog = window.setTimeout(() => this.broke(), PATIENCE);
  }

  private playing(): void {
    clearTimeout(this.dog);
    this.tries = 0;
    this.lostSince.value = null;
    this.state.value = 'playing';
  }

  /** The element tells no reason, so the pulse is asked what became of the programme. */
  private broke(): void {
    clearTimeout(this.dog);
    if (!this.pressed) return;
    void this.ask().then(() => {
      if (!this.pressed) return;
      this.lostSince.value ??= Date.now();
      this.state.value = 'lost';
      clearTimeout(this.retry);
      this.retry = window.setTimeout(() => this.connect(), backoff(this.tries++));
    });
  }

  /** Asks for the pulse. */
  private async ask(): Promise<void> {
    if (!this.isOpen()) return;
    try {
      const response = await fetch(`${this.base}/pulse`);
      if (response.status === 410) this.end('over');
      if (response.ok) {
        const pulse = (await response.json()) as Pulse;
        this.pulse.value = pulse;
        if (!onAir(pulse.phase)) this.end('over');
      }
    } catch {
      // The sound itself tells whether the connection is lost.
    }
  }

  private end(state: PlayerState): void {
    this.pressed = false;
    clearInterval(this.poll);
    clearTimeout(this.retry);
    clearTimeout(this.dog);
    this.audio.removeAttribute('src');
    this.audio.load();
    this.lostSince.value = null;
    this.state.value = state;
  }
}
