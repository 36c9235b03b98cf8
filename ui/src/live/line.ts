/**
 * Watches over a connection that lives while nothing comes: has the server lost its
 * line to the stage, is it dead, or does it forget this page? Asks it, and says what
 * to do. Pure: it is told the time, in seconds.
 */

/** What the server answered. */
export type Answer =
  | 'lost' // it has lost its line to the stage
  | 'fine' // it has the programme
  | 'dead'; // it did not answer

/** Seconds from the last sound to the first question: a crowd falls silent in one moment, and must not ask in one. */
const FIRST = 0.2;
const SPREAD = 1;

/** Seconds between two questions: at least, and at most when the answer stays the same. */
const AGAIN = 2;
const SELDOM = 10;

/** Seconds without sound from a server that says it is well, after which another one is tried. */
const PATIENCE = 2;

/** Seconds after which a page looks whether another server still has the programme; up to twice that, so that not all do at once. */
const WEARY = 15;

/** Milliseconds that an answer may take. */
const ANSWER = 2_500;

export class Line {
  /** The server has said that it has lost its line to the stage. */
  held = false;
  private drySince: number | null = null;
  private heldSince = 0;
  private next = 0;
  private asked = 0;
  private asking = false;

  constructor(private readonly random: () => number = Math.random) {}

  /** Sound came, or the connection is a new one. */
  came(): void {
    this.held = false;
    this.drySince = null;
    this.asked = 0;
  }

  /** To be called a few times a second; true when the server is to be asked now. */
  look(now: number, dry: boolean): boolean {
    if (!dry) {
      this.drySince = null;
      return false;
    }
    if (this.drySince === null) {
      this.drySince = now;
      this.next = now + FIRST + SPREAD * this.random();
    }
    if (this.asking || now < this.next) return false;
    return (this.asking = true);
  }

  /** Takes the answer and says whether to stay here or to move elsewhere. */
  answered(now: number, answer: Answer): 'stay' | 'move' {
    this.asking = false;
    if (this.drySince === null) return 'stay';
    this.next = now + AGAIN + this.random() * Math.min(SELDOM - AGAIN, 2 ** this.asked++);
    if (answer === 'dead') return 'move';
    if (answer === 'lost') {
      if (!this.held) this.heldSince = now + WEARY * this.random();
      this.held = true;
      return 'stay';
    }
    if (this.held) {
      // The line is back: what was missed is on its way.
      this.held = false;
      this.drySince = now;
      return 'stay';
    }
    return now - this.drySince >= PATIENCE ? 'move' : 'stay';
  }

  /** Has the line been lost for so long that another server may be asked whether it has one? */
  weary(now: number): boolean {
    return this.held && now - this.heldSince > WEARY;
  }
}

/** Asks a server by the address of its pulse. */
export async function askLine(url: string): Promise<Answer> {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), ANSWER);
  try {
    const response = await fetch(url, { signal: patience.signal });
    return isLost(response) ? 'lost' : 'fine';
  } catch {
    return 'dead';
  } finally {
    clearTimeout(timer);
  }
}

/** Does an answer say that the server has lost its line to the stage? */
export function isLost(response: Response): boolean {
  return response.headers.get('Hustings-Bus') === 'lost';
}
