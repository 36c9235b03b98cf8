import { signal, type Signal } from '@preact/signals';
import { Problem } from '../shared/api.ts';
import { backoff, pause } from '../shared/backoff.ts';
import { Link, type LinkOptions } from './link.ts';

/** Where a kept connection stands. */
export type KeptState = 'off' | 'connecting' | 'up' | 'shaky' | 'lost' | 'refused';

/** Milliseconds of the longest pause between two tries: few are on a stage, and all wait for them. */
const PAUSE = 2_000;

/** Refusals that trying again does not change: bad token, no seat for it, no such space, over. */
const FINAL = [400, 401, 403, 404, 409, 410, 415, 422];

/** Keeps a link standing: makes a new one, with growing pauses, whenever one is gone. */
export class KeptLink {
  readonly state: Signal<KeptState> = signal<KeptState>('off');
  readonly link = signal<Link | null>(null);
  /** Why the server refused, for the state "refused"; what failed last, for "lost". */
  readonly problem = signal<Problem | null>(null);
  private session: AbortController | null = null;
  private hurry = false;

  /** `options` is asked before each try, and may wait for what must come first. */
  constructor(private readonly options: () => Promise<Omit<LinkOptions, 'onShaky'>>) {}

  start(): void {
    if (this.session) return;
    this.session = new AbortController();
    this.state.value = 'connecting';
    void this.run(this.session.signal);
  }

  /** Lets the link go; `tell` is false when the server ended it. */
  stop(tell = true): void {
    this.session?.abort();
    this.session = null;
    this.link.peek()?.close(tell);
    this.link.value = null;
    this.problem.value = null;
    this.state.value = 'off';
  }

  /** Makes a new link at once: this one leads nowhere, as the stage says. */
  renew(): void {
    this.hurry = true;
    this.link.peek()?.close(false);
  }

  private async run(signal: AbortSignal): Promise<void> {
    for (let tries = 0; !signal.aborted; tries++) {
      try {
        const link = await this.connect(signal);
        tries = 0;
        await link.gone;
      } catch (error) {
        if (signal.aborted) return;
        this.problem.value = error instanceof Problem ? error : new Problem(0, 'This browser could not make the connection');
        if (FINAL.includes(this.problem.value.status)) {
          this.session = null;
          this.state.value = 'refused';
          return;
        }
      }
      if (signal.aborted) return;
      this.state.value = 'lost';
      if (!this.hurry) await pause(backoff(tries, Math.random, 400, PAUSE), signal).catch(() => {});
      this.hurry = false;
    }
  }

  private async connect(signal: AbortSignal): Promise<Link> {
    this.link.peek()?.close();
    this.link.value = null;
    const onShaky = (shaky: boolean) => {
      if (this.link.peek() && !signal.aborted) this.state.value = shaky ? 'shaky' : 'up';
    };
    const link = await Link.open({ ...(await this.options()), onShaky }, signal);
    if (signal.aborted) {
      link.close();
      throw signal.reason;
    }
    this.link.value = link;
    this.problem.value = null;
    this.state.value = 'up';
    return link;
  }
}
