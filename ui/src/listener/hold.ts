import type { HoldMusic } from './hold-music.ts';

/**
 * The page's own hold audio, for when its server has lost the stage: there may be
 * nothing that it could be fetched from then, so its code comes while all is well,
 * after the first sound, and it makes its music itself.
 */
export class Hold {
  private context: AudioContext | null = null;
  private code: Promise<typeof HoldMusic | null> | null = null;
  private music: HoldMusic | null = null;
  private wanted = false;
  private volume = 1;

  constructor(private readonly load: () => Promise<{ HoldMusic: typeof HoldMusic }> = () => import('./hold-music.ts')) {}

  /** Must be called from a press: browsers let nothing else sound later. Costs nothing until it plays. */
  allow(): void {
    if (this.context || typeof AudioContext === 'undefined') return;
    this.context = new AudioContext({ latencyHint: 'playback' });
    void this.context.suspend();
  }

  /** Has all that is needed at hand. */
  prepare(): void {
    if (!this.context) return;
    this.code ??= this.load().then(
      (module) => module.HoldMusic,
      () => {
        // No connection just now; asked again when it is needed.
        this.code = null;
        return null;
      },
    );
  }

  /** Begins to play, or fades. */
  play(wanted: boolean): void {
    if (wanted === this.wanted) return;
    this.wanted = wanted;
    if (wanted) this.prepare();
    void this.apply();
  }

  /** As loud as the page's sound is to be: 0 to 1. */
  loud(volume: number): void {
    this.volume = volume;
    void this.apply();
  }

  private async apply(): Promise<void> {
    const Music = await this.code;
    // The music is made when it is first to be heard: few ever hear it.
    if (this.wanted && Music && this.context) this.music ??= new Music(this.context);
    this.music?.play(this.wanted, this.volume);
  }
}
