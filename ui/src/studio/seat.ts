import { computed, effect, signal } from '@preact/signals';
import { soundElement } from '../shared/sound.ts';
import { Belief } from './belief.ts';
import { KeptLink } from './keep.ts';
import type { Link } from './link.ts';
import type { Microphone } from './mic.ts';
import type { StageSocket } from './socket.ts';

/** Milliseconds in which the stage may still tell what was so before a mute was asked for. */
const SETTLE = 2_500;

/**
 * One's own seat: the way there (WHIP), what the others say (WHEP), and muting.
 * What it shows is what is so: the stage's word counts, and silence is certain,
 * since a muted track sends nothing.
 */
export class OwnSeat {
  readonly out: KeptLink;
  readonly in: KeptLink;
  /** On stage, or on the way there. */
  readonly joined = signal(false);
  readonly muted = signal(false);
  /** It was the host who muted; until one unmutes oneself. */
  readonly mutedByHost = signal(false);
  /** The stage can't be told to unmute now. */
  readonly unheard = signal(false);
  readonly speaker = soundElement('others-sound');

  /** What is sent, and the stream that it was cloned from. */
  private track: MediaStreamTrack | null = null;
  private source: MediaStream | null = null;
  private askedAt = -Infinity;
  private doubt = 0;
  private readonly belief = new Belief();

  /** This seat as the stage sees it. */
  private readonly own = computed(() => {
    const state = this.socket.state.value;
    return state?.seats?.find((seat) => seat.id === state.you) ?? null;
  });

  /** The connection stands, and the stage is there to say so. */
  readonly on = computed(() => this.joined.value && this.out.state.value === 'up' && this.socket.connected.value);

  constructor(
    base: string,
    token: string,
    private readonly mic: Microphone,
    private readonly socket: StageSocket,
  ) {
    this.out = new KeptLink(async () => {
      // The newest page of a seat keeps it: so the page comes first, then the microphone.
      await this.socket.renew();
      return { url: `${base}/whip`, token, track: this.outgoing() };
    });
    this.in = new KeptLink(async () => ({ url: `${base}/whep`, token }));
    this.speaker.autoplay = true;
    effect(() => this.hear());
    effect(() => this.follow());
    effect(() => this.believe());
    effect(() => this.send(this.out.link.value, this.mic.stream.value));
    effect(() => {
      if (this.socket.dismissed.value) this.leave(false);
    });
  }

  join(): void {
    if (!this.mic.stream.peek()) return;
    this.joined.value = true;
    this.out.start();
    this.in.start();
    // From a press, so that the browser lets the others be heard.
    void this.speaker.play().catch(() => {});
  }

  /** Goes off the stage; `tell` is false when the stage knows, since it was its doing. */
  leave(tell = true): void {
    this.joined.value = false;
    this.out.stop(tell);
    this.in.stop(tell);
    this.track?.stop();
    this.track = null;
    this.source = null;
    this.mutedByHost.value = false;
  }

  mute(muted: boolean): void {
    const told = this.socket.send({ type: 'mute', muted });
    this.unheard.value = !told && !muted;
    // To be silent needs nobody's leave; to be heard needs the stage's.
    if (!told && !muted) return;
    this.askedAt = performance.now();
    this.apply(muted);
    if (!muted) this.mutedByHost.value = false;
  }

  /** Takes the stage's word on whether this seat is muted. */
  private follow(): void {
    const own = this.own.value;
    if (!own || !this.joined.peek() || own.muted === this.muted.peek()) return;
    if (performance.now() - this.askedAt < SETTLE) return;
    if (own.muted) {
      this.apply(true);
      this.mutedByHost.value = true;
    } else {
      // The stage forgot, over a new start of it say; this side did not.
      this.askedAt = performance.now();
      this.socket.send({ type: 'mute', muted: true });
    }
  }

  /**
   * Takes the stage's word on whether this seat is connected: after a new start
   * of the server it knows at once what a connection takes long to notice.
   */
  private believe(): void {
    clearTimeout(this.doubt);
    const told = this.socket.connected.value ? (this.own.value?.connected ?? false) : null;
    const link = this.out.state.value === 'up' ? this.out.link.value : null;
    const patience = this.belief.hear(link, told);
    if (patience === null) return;
    this.doubt = window.setTimeout(() => {
      this.out.renew();
      this.in.renew();
    }, patience);
  }

  private apply(muted: boolean): void {
    this.muted.value = muted;
    if (this.track) this.track.enabled = !muted;
  }

  /** What is to be sent: a clone, so that the meter goes on while this one is silent. */
  private outgoing(): MediaStreamTrack | null {
    const stream = this.mic.stream.peek();
    if (stream !== this.source) {
      this.track?.stop();
      this.source = stream;
      this.track = stream?.getAudioTracks()[0]?.clone() ?? null;
      if (this.track) this.track.enabled = !this.muted.peek();
    }
    return this.track;
  }

  /** Another microphone goes on over the same connection, also if it came while that was being made. */
  private send(link: Link | null, stream: MediaStream | null): void {
    if (!this.joined.peek()) return;
    if (stream || this.source) void link?.replaceTrack(this.outgoing());
  }

  private hear(): void {
    this.speaker.srcObject = this.in.link.value?.heard ?? null;
    if (this.speaker.srcObject) void this.speaker.play().catch(() => {});
  }
}
