import { computed, signal } from '@preact/signals';
import type { PlayerState } from '../live/player.ts';
import { soundElement } from '../shared/sound.ts';
import type { Pulse, Tally } from '../shared/space.ts';
import { unroll, type Moment } from './timeline.ts';

/** A named place in a recording; `start` in seconds. */
export interface Chapter {
  title: string;
  start: number;
}

/** What /recordings/{id}.json tells that this page shows. */
export interface RecordingInfo {
  length: number;
  chapters: Chapter[];
  tally: Tally | null;
  /** The pulse at each of its changes. */
  pulses: { start: number; pulse: Partial<Pulse> }[];
}

/** Milliseconds between two tries: a recording is up within a second of the end. */
const RETRY = 1500;

/** A recording and how it is being played; the views only read it. */
export class RecordingPlayer {
  readonly info = signal<RecordingInfo | null>(null);
  readonly position = signal(0);
  readonly length = signal(0);
  readonly speed = signal(1);
  readonly state = signal<Extract<PlayerState, 'idle' | 'buffering' | 'playing' | 'failed'>>('idle');
  /** Where the event went live, in seconds: there it begins to play. What was before is there too, by its chapter. */
  readonly beginning = computed(() => this.info.value?.pulses.find((moment) => moment.pulse.phase === 'live')?.start ?? 0);
  private readonly audio = soundElement('recording-sound');
  /** Where to go as soon as the element knows the recording; null when it is there. */
  private wanted: number | null = null;
  private readonly base: string;

  constructor(id: string) {
    this.base = `/recordings/${encodeURIComponent(id)}`;
    const { audio } = this;
    audio.preload = 'metadata';
    audio.addEventListener('timeupdate', () => this.wanted === null && (this.position.value = audio.currentTime));
    audio.addEventListener('loadedmetadata', () => this.arrive());
    audio.addEventListener('durationchange', () => this.measured());
    audio.addEventListener('playing', () => (this.state.value = 'playing'));
    audio.addEventListener('waiting', () => (this.state.value = 'buffering'));
    audio.addEventListener('pause', () => (this.state.value = 'idle'));
    audio.addEventListener('ended', () => (this.state.value = 'idle'));
    audio.addEventListener('error', () => (this.state.value = 'failed'));
    void this.load();
  }

  /** Whole, in both containers. */
  get files(): { ogg: string; mp4: string } {
    return { ogg: `${this.base}.ogg`, mp4: `${this.base}.mp4` };
  }

  toggle(): void {
    if (this.state.peek() === 'failed') {
      this.state.value = 'idle';
      this.wanted = this.position.peek();
      this.audio.load();
    }
    if (this.audio.paused) void this.audio.play().catch(() => (this.state.value = 'failed'));
    else this.audio.pause();
  }

  seek(seconds: number): void {
    const to = Math.min(Math.max(0, seconds), this.length.peek() || seconds);
    this.position.value = to;
    this.wanted = to;
    if (this.audio.readyState >= HTMLMediaElement.HAVE_METADATA) this.arrive();
  }

  skip(seconds: number): void {
    this.seek(this.position.peek() + seconds);
  }

  setSpeed(speed: number): void {
    this.audio.playbackRate = speed;
    this.speed.value = speed;
  }

  /** The chapter that a position lies in. */
  chapterAt(position: number): Chapter | undefined {
    return this.info.value?.chapters.findLast((chapter) => chapter.start <= position);
  }

  /** The pulse at the position: who was on stage and spoke. */
  readonly pulse = computed(() => {
    const at = this.position.value;
    return this.info.value?.pulses.findLast((moment) => moment.start <= at)?.pulse ?? null;
  });

  private arrive(): void {
    if (this.wanted !== null) this.audio.currentTime = this.wanted;
    this.wanted = null;
    // A reload forgets the speed.
    this.audio.playbackRate = this.speed.peek();
  }

  private measured(): void {
    if (Number.isFinite(this.audio.duration)) this.length.value = this.audio.duration;
  }

  /** Waits until the recording is complete, then lets the element have it. */
  private async load(): Promise<void> {
    const response = await fetch(`${this.base}.json`).catch(() => null);
    if (!response?.ok) {
      setTimeout(() => void this.load(), RETRY);
      return;
    }
    const told = (await response.json()) as { length: number; chapters?: Chapter[]; tally?: Tally; timeline?: Moment[] };
    this.info.value = {
      length: told.length,
      chapters: told.chapters ?? [],
      tally: told.tally ?? null,
      pulses: unroll(told.timeline ?? []),
    };
    this.length.value ||= told.length;
    this.seek(this.beginning.peek());
    const mp4 = this.audio.canPlayType('audio/mp4; codecs="opus"') !== '';
    this.audio.src = mp4 ? this.files.mp4 : this.files.ogg;
  }
}
