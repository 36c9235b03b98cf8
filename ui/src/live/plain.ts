import { signal } from '@preact/signals';
import { backoff } from '../shared/backoff.ts';
import { onAir, type Pulse } from '../shared/space.ts';
import type { Address, File } from './address.ts';
import { isLost } from './line.ts';
import type { Player, PlayerState } from './player.ts';

/** Milliseconds between two looks at the pulse, give or take a fifth. */
const POLL = 3_000;

/** Milliseconds without sound after which a connection is made anew. */
const PATIENCE = 12_000;

/** Milliseconds to the next try of a file that is there and did not play, and such tries: a programme that has just begun may be too short for one. */
const YOUNG = 2_000;
const TRIES = 3;

/** What stopped the sound. */
type Verdict =
  | 'refused' // the server does not have this file
  | 'unplayable' // it has, and this browser can't play it
  | 'unreached'; // it was not to be had, or broke off

/**
 * The way for browsers that are best left to play by themselves: the audio element
 * reads the programme, and the pulse is asked for beside it.
 */
export class PlainPlayer implements Player {
  readonly state = signal<PlayerState>('idle');
  readonly pulse = signal<Pulse | null>(null);
  readonly lostSince = signal<number | null>(null);
  /** The element tells nothing of what it keeps back. */
  readonly behind = signal<number | null>(null);

  private pressed = false;
  /** The server of the connection; "" is the page's own. */
  private server = '';
  /** Which of the files is tried, and whether it was ever heard. */
  private choice = 0;
  private worked = false;
  /** How often it was there and did not play. */
  private misses = 0;
  /** The server has lost its line to the stage. */
  private held = false;
  private poll = 0;
  private retry = 0;
  private tries = 0;
  private connections = 0;
  private dog = 0;

  constructor(
    private readonly audio: HTMLAudioElement,
    private readonly address: Address,
    /** The files to try, the best first. */
    private readonly files: readonly File[],
    /** Does the programme run, as far as the page knows? */
    private readonly isOpen: () => boolean,
  ) {
    audio.addEventListener('playing', () => this.playing());
    audio.addEventListener('waiting', () => this.dry());
    audio.addEventListener('error', () => void this.broke());
    audio.addEventListener('ended', () => void this.broke());
  }

  press(): void {
    this.pressed = true;
    this.choice = 0;
    this.misses = 0;
    this.connect();
    clearTimeout(this.poll);
    this.plan();
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
    this.server = this.address.edges.pick();
    this.worked = false;
    this.held = false;
    const file = this.file();
    this.connections++;
    this.audio.src = this.address.file(this.server, file, file.ext === 'ogg' ? this.connections : undefined);
    this.watch();
    this.audio.play().catch((error: unknown) => {
      if (error instanceof DOMException && error.name === 'NotAllowedError') this.state.value = 'blocked';
    });
  }

  private file(): File {
    return this.files[this.choice] ?? { ext: 'ogg' };
  }

  private dry(): void {
    if (!this.pressed) return;
    this.state.value = this.held ? 'held' : 'buffering';
    this.watch();
  }

  /** No sound for long: this connection is dead, whatever the element thinks. One that is held lives. */
  private watch(): void {
    clearTimeout(this.dog);
    this.dog = window.setTimeout(() => (this.held ? this.watch() : void this.broke()), PATIENCE);
  }

  private playing(): void {
    clearTimeout(this.dog);
    this.tries = 0;
    this.worked = true;
    this.lostSince.value = null;
    this.state.value = 'playing';
  }

  /** The element tells no reason, so the server is asked what became of the programme, and of the file. */
  private async broke(): Promise<void> {
    clearTimeout(this.dog);
    const connection = this.connections;
    await this.ask();
    const verdict = await this.verdict();
    if (!this.pressed || connection !== this.connections) return;
    if (verdict === 'unplayable' && ++this.misses < TRIES) {
      this.again(YOUNG);
    } else if (verdict !== 'unreached' && this.choice + 1 < this.files.length) {
      this.choice++;
      this.misses = 0;
      this.connect();
    } else if (verdict === 'unplayable') {
      this.end('failed');
    } else {
      this.lost();
    }
  }

  private async verdict(): Promise<Verdict> {
    const failed = this.audio.error?.code ?? 0;
    if (this.worked) return 'unreached';
    try {
      const { ok, status } = await fetch(this.address.file(this.server, this.file()), { method: 'HEAD' });
      if ([404, 406, 415].includes(status)) return 'refused';
      return ok && failed >= MediaError.MEDIA_ERR_DECODE ? 'unplayable' : 'unreached';
    } catch {
      return 'unreached';
    }
  }

  /** To another server, or to this one again in a while. */
  private lost(): void {
    const { edges } = this.address;
    edges.lost(this.server);
    this.choice = 0;
    this.misses = 0;
    this.lostSince.value ??= Date.now();
    this.state.value = 'lost';
    const wait = this.tries === 0 && edges.hasOther(this.server) ? 0 : backoff(this.tries);
    this.tries++;
    this.again(wait);
  }

  private again(wait: number): void {
    clearTimeout(this.retry);
    this.retry = window.setTimeout(() => this.connect(), wait);
  }

  private plan(): void {
    this.poll = window.setTimeout(() => void this.ask().then(() => this.pressed && this.plan()), POLL * (0.8 + 0.4 * Math.random()));
  }

  /** Asks for the pulse, and whether the server still has its line to the stage. */
  private async ask(): Promise<void> {
    if (!this.isOpen()) return;
    const { server } = this;
    try {
      const response = await fetch(this.address.pulse(server));
      if (!this.pressed || server !== this.server) return;
      this.held = isLost(response);
      const state = this.state.peek();
      if (state === 'buffering' || state === 'held') this.state.value = this.held ? 'held' : 'buffering';
      if (response.status === 410) this.end('over');
      else if (response.ok) this.heard((await response.json()) as Pulse);
    } catch {
      // The sound itself tells whether the connection is lost.
    }
  }

  private heard(pulse: Pulse): void {
    this.pulse.value = pulse;
    this.address.edges.learn(pulse.edges, this.server);
    if (!onAir(pulse.phase)) this.end('over');
  }

  private end(state: PlayerState): void {
    this.pressed = false;
    clearTimeout(this.poll);
    clearTimeout(this.retry);
    clearTimeout(this.dog);
    this.audio.removeAttribute('src');
    this.audio.load();
    this.lostSince.value = null;
    this.state.value = state;
  }
}
