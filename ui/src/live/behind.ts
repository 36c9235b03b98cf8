/** Seconds of a block. */
const BLOCK = 0.5;

/** Seconds from a speaker's mouth into a block: the way to the server, its jitter buffer, the mix. */
const BEFORE = 0.2;

/**
 * Tells how far the sound is behind the stage. The block that came soonest after it
 * was made says where the live edge is by this page's clock, so that blocks which
 * come late, or wait somewhere on the way, don't hide how old they are.
 */
export class Behind {
  private offset = Infinity;

  /** A block that begins at `start` of the programme came at `now`; both in seconds. */
  came(now: number, start: number): void {
    this.offset = Math.min(this.offset, now - start - BLOCK);
  }

  /** Seconds that a position of the programme is behind; null before the first block. */
  behind(now: number, position: number): number | null {
    return this.offset === Infinity ? null : Math.max(0, now - this.offset - position) + BEFORE;
  }

  /** Another connection may lead to another clock. */
  restart(): void {
    this.offset = Infinity;
  }
}
