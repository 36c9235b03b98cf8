/**
 * Keeps the sound close to the live edge: decides where to begin, how fast to
 * play and when to jump. Pure: it is told the time and what is buffered.
 *
 * Blocks of half a second come every half second, so what lies ahead of the
 * playing position goes up and down by that much. Its low water over some
 * seconds is what protects from stalls, and what is steered by.
 */

/** Seconds ahead of the playing position right after a block has come: stage to page stays under 2 s. */
export const TARGET = 1.1;

/** Seconds that a stall adds to the target, and the most that stalls can add. */
const STALL_STEP = 0.4;
const STALL_MOST = 2;

/** Calm seconds after which one stall is forgiven. */
const FORGIVE = 60;

/** Seconds over which the low water is taken: several blocks. */
const WINDOW = 3;

/** More than this ahead, beyond the target, is jumped over: the tab slept, say. */
const JUMP = 2;

/** How far the speed may go from 1 unnoticed, pitch kept. */
const NUDGE = 0.03;

export class Pace {
  private samples: { at: number; ahead: number }[] = [];
  private extra = 0;
  private calmSince = 0;
  private rate = 1;

  /** Seconds to begin behind the end of the buffer. */
  get target(): number {
    return TARGET + this.extra;
  }

  /** The sound ran dry: from now on a little more is kept. */
  stalled(at: number): void {
    this.extra = Math.min(STALL_MOST, this.extra + STALL_STEP);
    this.calmSince = at;
    this.moved();
  }

  /** The playing position was moved: what was measured before means nothing now. */
  moved(): void {
    this.samples = [];
    this.rate = 1;
  }

  /** Takes what is ahead at a time (both in seconds) and says what to do: a speed, or a jump to the target. */
  steer(at: number, ahead: number): number | 'jump' {
    if (this.extra > 0 && at - this.calmSince > FORGIVE) {
      this.extra = Math.max(0, this.extra - STALL_STEP);
      this.calmSince = at;
    }
    if (ahead > this.target + JUMP) {
      this.moved();
      return 'jump';
    }
    this.samples = [...this.samples.filter((sample) => at - sample.at < WINDOW), { at, ahead }];
    const first = this.samples[0];
    if (first && at - first.at > WINDOW / 2) this.rate = this.speed();
    return this.rate;
  }

  /** Aims at a low water of about half the target; a band around it is left alone. */
  private speed(): number {
    const low = Math.min(...this.samples.map((sample) => sample.ahead)) - this.extra;
    if (low > 0.9) return 1 + NUDGE;
    if (low < 0.2) return 1 - NUDGE;
    if (low > 0.35 && low < 0.7) return 1;
    return this.rate;
  }
}
