import { call, Problem } from '../shared/api.ts';
import { backoff } from '../shared/backoff.ts';
import type { Space } from '../shared/space.ts';

/** Milliseconds between two looks at a space, for a page that has no stream to tell it. */
const FAR = 12_500;
const NEAR = 5_000;
/** For who pressed the button and waits near the start: the sound begins within seconds of the doors. */
const EAGER = 2_000;

/** "Near" begins this long before the announced start, and lasts so long after it: events begin late. */
const BEFORE = 180_000;
const AFTER = 3_600_000;

/** Milliseconds of the first and the longest pause after looks that failed. */
const TROUBLE = 2_000;
const MOST = 60_000;

/** When to look next: sooner for who waits near the start, and never all pages at once. */
export function nextLook(startsIn: number | null, waiting: boolean, random = Math.random): number {
  const near = startsIn !== null && startsIn < BEFORE && startsIn > -AFTER;
  const eager = waiting && (near || startsIn === null);
  return Math.round((eager ? EAGER : near ? NEAR : FAR) * (0.8 + random() * 0.4));
}

/** When to look again after `tries` looks that failed: later each time, and no sooner than the server asks. */
export function nextTry(tries: number, error: unknown, random = Math.random): number {
  const asked = error instanceof Problem ? (error.retryAfter ?? 0) * 1000 : 0;
  return Math.max(backoff(tries, random, TROUBLE, MOST), asked * (1 + random() / 4));
}

/** What a watch asks and tells. */
export interface Watching {
  /** Should it look by itself now? */
  wanted: () => boolean;
  /** Milliseconds to the announced start; null if none was announced. */
  startsIn: () => number | null;
  /** Does someone wait for the doors to open? */
  waiting: () => boolean;
  /** The space as it is; null when there is none of that name. */
  found: (space: Space | null) => void;
  /** A look failed, or, with 0, did not. */
  failed: (inARow: number) => void;
}

/** Looks at a space again and again. A look that fails changes nothing: the next may not. */
export class SpaceWatch {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private tries = 0;
  private looking: Promise<void> | null = null;

  constructor(
    private readonly id: string,
    private readonly page: Watching,
  ) {
    this.plan();
  }

  /** Looks now, and from then on in the usual steps. */
  look(): Promise<void> {
    this.looking ??= this.ask().finally(() => (this.looking = null));
    return this.looking;
  }

  private async ask(): Promise<void> {
    clearTimeout(this.timer);
    let trouble: unknown = null;
    try {
      this.page.found(await call<Space>(`/spaces/${encodeURIComponent(this.id)}`));
    } catch (error) {
      if (error instanceof Problem && error.status === 404) this.page.found(null);
      else trouble = error;
    }
    this.tries = trouble ? this.tries + 1 : 0;
    this.page.failed(this.tries);
    this.plan(trouble);
  }

  private plan(trouble: unknown = null): void {
    const { startsIn, waiting, wanted } = this.page;
    const pause = trouble ? nextTry(this.tries - 1, trouble) : nextLook(startsIn(), waiting());
    this.timer = setTimeout(() => (wanted() ? void this.look() : this.plan()), pause);
  }
}
