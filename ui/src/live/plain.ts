import { signal } from '@preact/signals';
import { backoff } from '../shared/backoff.ts';
import { onAir, type Pulse } from '../shared/space.ts';
import type { Player, PlayerState } from './player.ts';

/** Milliseconds between two looks at the pulse. */
const POLL = 3_000;

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

  private pressed = false;
  private poll = 0;
  private retry = 0;
  private tries = 0;

  constructor(
    private readonly audio: HTMLAudioElement,
    private readonly base: string,
  ) {
    audio.addEventListener('playing', () => this.playing());
    audio.addEventListener('waiting', () => this.pressed && (this.state.value = 'buffering'));
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
    this.state.value = this.lostSince.peek() ? 'lost' : 'connecting';
    this.audio.src = `${this.base}.ogg`;
    this.audio.play().catch((error: unknown) => {
      if (error instanceof DOMException && error.name === 'NotAllowedError') this.state.value = 'blocked';
    });
  }

  private playing(): void {
    this.tries = 0;
    this.lostSince.value = null;
    this.state.value = 'playing';
  }

  /** The element tells no reason, so the pulse is asked what became of the programme. */
  private broke(): void {
    if (!this.pressed) return;
    void this.ask().then((status) => {
      if (!this.pressed) return;
      if (status === 425) this.state.value = 'waiting';
      else this.lostSince.value ??= Date.now();
      if (status !== 425) this.state.value = 'lost';
      this.retry = window.setTimeout(() => this.connect(), status === 425 ? 60_000 : backoff(this.tries++));
    });
  }

  /** Asks for the pulse and returns the status; 0 without an answer. */
  private async ask(): Promise<number> {
    try {
      const response = await fetch(`${this.base}/pulse`);
      if (response.status === 410) this.end('over');
      if (response.ok) {
        const pulse = (await response.json()) as Pulse;
        this.pulse.value = pulse;
        if (!onAir(pulse.phase)) this.end('over');
      }
      return response.status;
    } catch {
      return 0;
    }
  }

  private end(state: PlayerState): void {
    this.pressed = false;
    clearInterval(this.poll);
    clearTimeout(this.retry);
    this.audio.removeAttribute('src');
    this.audio.load();
    this.lostSince.value = null;
    this.state.value = state;
  }
}
