import { concat } from './boxes.ts';
import { Pace } from './pace.ts';

/** Seconds of what was played that are kept. */
const KEEP = 20;

/** Less than this ahead, in seconds, is nothing to play on. */
const DRY = 0.2;

/** Seconds of a block. */
const BLOCK = 0.5;

/**
 * Fragments kept while the browser wants none (ManagedMediaSource, which may take only
 * some seconds ahead), or the buffer is full: 64 s, more than the deepest that a page
 * is ever told to be, and all that it plays on with after a silence.
 */
const QUEUE = 128;

/** Seconds that a start waits for the whole depth, when there is already enough to play on: a slow line, or a young programme. */
const WAIT = 0.7;

/** What ManagedMediaSource (iOS) has beyond MediaSource. */
interface ManagedSource extends MediaSource {
  readonly streaming: boolean;
}
type SourceKind = { new (): MediaSource; isTypeSupported(type: string): boolean };

/** Browsers disagree on how to spell the codec, so both are asked for. */
const TYPES = ['audio/mp4; codecs="opus"', 'audio/mp4; codecs="Opus"'];

/** How this browser can play the stream; null if it has no way to be fed. */
export interface Feed {
  kind: SourceKind;
  type: string;
  managed: boolean;
}

export function probe(scope: object = globalThis): Feed | null {
  const { MediaSource: plain, ManagedMediaSource: managed } = scope as Record<string, SourceKind | undefined>;
  for (const kind of [plain, managed]) {
    const type = kind && TYPES.find((each) => kind.isTypeSupported(each));
    if (kind && type) return { kind, type, managed: kind === managed };
  }
  return null;
}

/**
 * Feeds the fragments of the stream to an audio element and keeps it near the
 * live edge. Times are seconds since the doors opened: the stream's own.
 */
export class Sink {
  private readonly source: MediaSource;
  private readonly url: string;
  private buffer: SourceBuffer | null = null;
  private queue: Uint8Array<ArrayBuffer>[] = [];
  private head: Uint8Array<ArrayBuffer> | null = null;
  private newest = -1;
  private closing = false;
  /** Playing is held back until enough is buffered to go on without stutter. */
  private holding = true;
  /** Has anything been played yet? */
  private begun = false;
  /** When the first sound was there to be played. */
  private since: number | null = null;
  readonly pace = new Pace();

  constructor(
    private readonly audio: HTMLAudioElement,
    private readonly feed: Feed,
    private readonly failed: (error: unknown) => void,
  ) {
    this.source = new feed.kind();
    this.url = URL.createObjectURL(this.source);
    // ManagedMediaSource stays closed while the sound could be sent to another device.
    if (feed.managed) audio.disableRemotePlayback = true;
    this.source.addEventListener('sourceopen', this.opened);
    this.source.addEventListener('startstreaming', this.flush);
    audio.addEventListener('waiting', this.ranDry);
    audio.src = this.url;
  }

  /** True once sound comes out, and until it runs dry. */
  get flowing(): boolean {
    return !this.holding && !this.audio.paused;
  }

  /** Seconds buffered beyond the playing position, without a hole. */
  get ahead(): number {
    const range = this.currentRange();
    return range ? range.end - this.audio.currentTime : 0;
  }

  /** Seconds that can be played on with: what is buffered, and what waits for the browser to take it. */
  get reserve(): number {
    return this.ahead + this.queued;
  }

  /** Seconds behind the newest sound that came; null before any was played. */
  get depth(): number | null {
    return this.begun ? this.pace.depth(performance.now() / 1000, this.audio.currentTime) : null;
  }

  /** Takes the init segment; each connection begins with one. */
  init(...boxes: Uint8Array[]): void {
    this.head = concat(boxes);
    this.push(this.head);
  }

  /** Takes a fragment that begins at `start`. One that was heard already, before a reconnection, is passed over. */
  fragment(start: number, moof: Uint8Array, mdat: Uint8Array): void {
    if (start <= this.newest) return;
    this.newest = start;
    this.pace.came(performance.now() / 1000, start + BLOCK);
    this.push(concat([moof, mdat]));
  }

  /** No more will come: what is buffered is played to its end, then the element says "ended". */
  finish(): void {
    this.closing = true;
    this.flush();
  }

  /** To be called a few times a second. */
  tick(now: number): void {
    if (this.source.readyState === 'closed') return;
    // A seek into nothing never ends by itself; into something it does, and is waited for.
    if (this.audio.seeking && this.currentRange()) return;
    if (this.holding) {
      this.begin(now);
      return;
    }
    if (this.closing) return;
    if (!this.currentRange()) {
      this.leap();
      return;
    }
    if (this.audio.paused) return;
    const { rate, skip } = this.pace.steer(now, this.audio.currentTime);
    if (skip > 0) this.skip(skip);
    if (this.audio.playbackRate !== rate) this.audio.playbackRate = rate;
    this.trim();
  }

  /** Lets go of the element and the buffers. */
  close(): void {
    this.source.removeEventListener('sourceopen', this.opened);
    this.source.removeEventListener('startstreaming', this.flush);
    this.audio.removeEventListener('waiting', this.ranDry);
    this.buffer?.removeEventListener('updateend', this.flush);
    this.audio.removeAttribute('src');
    this.audio.load();
    URL.revokeObjectURL(this.url);
  }

  private readonly opened = () => {
    if (this.buffer) return;
    this.buffer = this.source.addSourceBuffer(this.feed.type);
    this.buffer.addEventListener('updateend', this.flush);
    this.flush();
  };

  private readonly ranDry = () => {
    // "waiting" is also said while seeking; dry is only what has nothing ahead.
    if (this.holding || this.closing || this.audio.seeking || this.ahead > DRY) return;
    this.holding = true;
    this.pace.stalled(performance.now() / 1000);
    // Else the browser would go on with each half second as it comes, and stutter.
    this.audio.playbackRate = 0;
  };

  private push(bytes: Uint8Array<ArrayBuffer>): void {
    this.queue.push(bytes);
    // The init segment must stay in front of the newest fragments.
    if (this.queue.length > QUEUE) this.queue = [this.head ?? bytes, ...this.queue.slice(-QUEUE + 1)];
    this.flush();
  }

  private readonly flush = () => {
    const { buffer, source } = this;
    if (!buffer || buffer.updating || source.readyState !== 'open') return;
    if (this.feed.managed && !(source as ManagedSource).streaming) return;
    const next = this.queue[0];
    if (!next) {
      if (this.closing) source.endOfStream();
      return;
    }
    try {
      buffer.appendBuffer(next);
      this.queue.shift();
    } catch (error) {
      // A full buffer is trimmed at the next tick, and then this one is tried again.
      if (!(error instanceof DOMException && error.name === 'QuotaExceededError')) this.failed(error);
    }
  };

  /** Begins, or goes on after a stall, once there is enough; at the end whatever there is will do. */
  private begin(now: number): void {
    // An element that has something at its position would play on meanwhile, and never get ahead.
    if (this.audio.playbackRate !== 0) this.audio.playbackRate = 0;
    const at = this.audio.currentTime;
    const ranges = this.ranges();
    // A start is near the newest; who heard something goes on with what was missed.
    const into = this.begun ? ranges.find((range) => range.end > at + DRY) : ranges.at(-1);
    const last = ranges.at(-1);
    if (!into || !last) return;
    this.since ??= now;
    const ready = last.end + this.queued - Math.max(into.start, at);
    if (ready < this.needed(now) && !this.closing) return;
    if (!this.begun) this.place(into);
    else if (at < into.start) this.audio.currentTime = into.start + 0.01;
    this.audio.playbackRate = 1;
    this.holding = false;
    this.begun = true;
    this.pace.begun();
  }

  /** Seconds that are to be there before the sound goes on. */
  private needed(now: number): number {
    const waited = now - (this.since ?? now) >= WAIT;
    return this.begun || waited ? this.pace.enough : this.pace.target;
  }

  /** Goes to the target behind the newest, or as near to it as the backlog reaches. */
  private place(range: Range): void {
    const at = this.audio.currentTime;
    const wanted = range.end + this.queued - this.pace.target;
    if (at < range.start || wanted - at > 0.5) this.audio.currentTime = Math.max(range.start + 0.01, wanted);
  }

  /** Jumps forward, but never beyond what there is to play. */
  private skip(seconds: number): void {
    const last = this.ranges().at(-1);
    const wanted = this.audio.currentTime + seconds;
    if (last) this.audio.currentTime = Math.max(this.audio.currentTime, Math.min(wanted, last.end - DRY));
  }

  /** Over a hole, between two epochs say, to what comes after it. */
  private leap(): void {
    const next = this.ranges().find((range) => range.start > this.audio.currentTime);
    if (next) this.audio.currentTime = next.start + 0.01;
  }

  private trim(): void {
    const first = this.ranges()[0];
    const until = this.audio.currentTime - KEEP;
    if (!this.buffer || this.buffer.updating || !first || first.start > until - KEEP) return;
    this.buffer.remove(0, until);
  }

  /** Seconds of sound that wait to be appended. */
  private get queued(): number {
    return BLOCK * this.queue.filter((piece) => piece !== this.head).length;
  }

  private currentRange(): Range | undefined {
    const at = this.audio.currentTime;
    // A hair of tolerance: Opus packets begin a few samples off after a seek.
    return this.ranges().find((range) => at >= range.start - 0.05 && at <= range.end);
  }

  private ranges(): Range[] {
    const { buffered } = this.audio;
    return Array.from({ length: buffered.length }, (_, i) => ({ start: buffered.start(i), end: buffered.end(i) }));
  }
}

interface Range {
  start: number;
  end: number;
}
