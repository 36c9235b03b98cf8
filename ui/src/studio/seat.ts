import { computed, effect, signal } from '@preact/signals';
import { soundElement } from '../shared/sound.ts';
import { KeptLink } from './keep.ts';
import type { Microphone } from './mic.ts';
import type { StageSocket } from './socket.ts';

/** Milliseconds that the stage may take to notice a new connection. */
const NOTICE = 4_000;

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

  private track: MediaStreamTrack | null = null;
  private askedAt = -Infinity;
  private doubt = 0;

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
      return { url: `${base}/whip`, token, track: this.freshTrack() };
    });
    this.in = new KeptLink(async () => ({ url: `${base}/whep`, token }));
    this.speaker.autoplay = true;
    effect(() => this.hear());
    effect(() => this.follow());
    effect(() => this.believe());
    effect(() => this.swap(this.mic.stream.value));
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
    const own = this.own.value;
    if (this.out.state.value !== 'up' || !this.socket.connected.value || own?.connected) return;
    this.doubt = window.setTimeout(() => {
      this.out.renew();
      this.in.renew();
    }, NOTICE);
  }

  private apply(muted: boolean): void {
    this.muted.value = muted;
    if (this.track) this.track.enabled = !muted;
  }

  /** A clone, so that the meter goes on while this one is silent. */
  private freshTrack(): MediaStreamTrack | undefined {
    this.track?.stop();
    this.track = this.mic.stream.peek()?.getAudioTracks()[0]?.clone() ?? null;
    if (this.track) this.track.enabled = !this.muted.peek();
    return this.track ?? undefined;
  }

  /** Another microphone goes on over the same connection. */
  private swap(stream: MediaStream | null): void {
    if (!this.joined.peek()) return;
    const link = this.out.link.peek();
    void link?.replaceTrack(stream ? (this.freshTrack() ?? null) : null);
  }

  private hear(): void {
    this.speaker.srcObject = this.in.link.value?.heard ?? null;
    if (this.speaker.srcObject) void this.speaker.play().catch(() => {});
  }
}
