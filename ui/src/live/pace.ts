/**
 * Keeps the sound as far behind the newest that has come as the server tells:
 * decides how fast to play and when to jump. Pure: it is told the time, what comes
 * and where the sound is.
 *
 * A server in calm sends a block every half second; one under load sends many
 * blocks at once, every few seconds, up to twenty. So what lies ahead of the playing
 * position goes up with each delivery and runs down until the next. Right after a
 * delivery it is the depth, whatever the deliveries' interval; right before one it
 * is what protects from stalls. Both are taken from when blocks came and not from
 * what is buffered, so that neither a seek nor a browser that takes its sound in
 * small portions disturbs them.
 */

/** Seconds of depth while the server tells none: stage to page stays under 2 s. */
export const TARGET = 1.1;

/** The least and the most that a server may tell. */
const SHALLOW = 0.6;
const DEEP = 60;

/** Seconds that a stall adds to the target, and the most that stalls can add. */
const STALL_STEP = 0.4;
const STALL_MOST = 2;

/** Calm seconds after which one stall is forgiven. */
const FORGIVE = 60;

/** Seconds that are looked back on: some deliveries, and more than one of the longest interval that the depth allows. */
const WINDOW = 3;
const DEPTHS = 2;

/** Deliveries so close together, in seconds, are one. */
const BURST = 0.1;

/** How far the speed may go from 1 unnoticed, pitch kept. */
const NUDGE = 0.03;

/** The depth may be off by so much before the speed changes, and is brought so near again. In seconds. */
const OFF = { under: 0.4, over: 0.3 };
const NEAR = { under: 0.25, over: 0.1 };

/** What is left before a delivery: less than `poor` needs more depth, up to `MOST_SPARE` beyond the told; more than `rich` can do with less. */
const LEFT = { poor: 0.2, safe: 0.35, rich: 0.7 };
const MOST_SPARE = 1;

/** Further behind than twice the depth and this, in seconds, a gentle way back would take too long: it is jumped. */
const JUMP = 10;

/** A delivery: the newest sound before and after it, as seconds beyond the clock. */
interface Delivery {
  at: number;
  before: number;
  after: number;
}

/** What to do now. */
export interface Steering {
  /** The speed to play at: 0.97 to 1.03. */
  rate: number;
  /** Seconds to jump forward; 0 nearly always. */
  skip: number;
}

export class Pace {
  private told = TARGET;
  private extra = 0;
  private calmSince = 0;
  private rate = 1;
  private deliveries: Delivery[] = [];
  /** End of the newest sound; null before any. */
  private newest: number | null = null;
  /** The depth from which one may still be on the way back: it sinks more slowly than the sound catches up. */
  private ceiling = TARGET;
  private steered: number | null = null;

  /** Seconds to be behind the newest sound. */
  get target(): number {
    return this.told + this.extra;
  }

  /** Seconds ahead with which playing may go on after a stall: one delivery brings them, also where deliveries are rare. */
  get enough(): number {
    return Math.min(this.target, TARGET + this.extra);
  }

  /** The server tells how deep to be from now on, in seconds. */
  follow(depth: number): void {
    if (Number.isFinite(depth)) this.told = Math.min(DEEP, Math.max(SHALLOW, depth));
  }

  /** Sound up to `end` came. */
  came(at: number, end: number): void {
    const before = (this.newest ?? end) - at;
    const last = this.deliveries.at(-1);
    this.newest = Math.max(this.newest ?? end, end);
    if (last && at - last.at < BURST) last.after = Math.max(last.after, end - last.at);
    else this.deliveries.push({ at, before, after: this.newest - at });
  }

  /** The sound ran dry: from now on a little more is kept. */
  stalled(at: number): void {
    this.extra = Math.min(STALL_MOST, this.extra + STALL_STEP);
    this.calmSince = at;
  }

  /** Playing begins, or goes on after a stall: what came before says nothing about what will. */
  begun(): void {
    const last = this.deliveries.at(-1);
    this.deliveries = last ? [{ ...last, before: last.after }] : [];
    this.rate = 1;
  }

  /** Says what to do with the sound at `position`. */
  steer(at: number, position: number): Steering {
    this.forgive(at);
    this.sink(at);
    const depth = this.depth(at, position);
    if (depth === null) return { rate: this.rate, skip: 0 };
    if (depth > 2 * this.ceiling + JUMP) {
      this.rate = 1;
      return { rate: 1, skip: depth - this.target };
    }
    this.deliveries = this.deliveries.filter((one, i, all) => i === all.length - 1 || at - one.at < Math.max(WINDOW, DEPTHS * depth));
    const first = this.deliveries[0];
    if (first && at - first.at > WINDOW / 2) this.rate = this.speed(depth, this.left(at, position));
    return { rate: this.rate, skip: 0 };
  }

  /** Seconds behind the newest sound, counted right after a delivery; null before the first. */
  depth(at: number, position: number): number | null {
    if (this.deliveries.length === 0) return null;
    return Math.max(...this.deliveries.map((one) => one.after)) + at - position;
  }

  /** The least that was ahead, had the sound been where it is in relation to the clock: right before a delivery, or now. */
  private left(at: number, position: number): number {
    const now = (this.newest ?? 0) - at;
    return Math.min(now, ...this.deliveries.map((one) => one.before)) + at - position;
  }

  /** A band around the target is left alone; what is left before deliveries goes before the target. */
  private speed(depth: number, left: number): number {
    const spare = depth - this.target;
    if (spare < -OFF.under || (left < LEFT.poor && spare < MOST_SPARE)) return 1 - NUDGE;
    if (spare > OFF.over && left > LEFT.rich) return 1 + NUDGE;
    if (this.rate < 1 && (spare > MOST_SPARE || (spare > -NEAR.under && left > LEFT.safe))) return 1;
    if (this.rate > 1 && (spare < NEAR.over || left < LEFT.safe)) return 1;
    return this.rate;
  }

  private forgive(at: number): void {
    if (this.extra === 0 || at - this.calmSince <= FORGIVE) return;
    this.extra = Math.max(0, this.extra - STALL_STEP);
    this.calmSince = at;
  }

  private sink(at: number): void {
    const passed = at - (this.steered ?? at);
    this.ceiling = Math.max(this.target, this.ceiling - (NUDGE / 2) * passed);
    this.steered = at;
  }
}
