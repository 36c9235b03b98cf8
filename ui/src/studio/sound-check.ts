import { signal } from '@preact/signals';

/** Milliseconds that are recorded. */
const LENGTH = 4_000;

/** Lets a person hear themselves as the others will: records a few seconds and plays them back. */
export class SoundCheck {
  readonly state = signal<'idle' | 'recording' | 'playing' | 'done' | 'failed'>('idle');
  private readonly audio = new Audio();
  private recorder: MediaRecorder | null = null;
  private url = '';

  constructor() {
    this.audio.addEventListener('ended', () => this.finish('done'));
    this.audio.addEventListener('error', () => this.audio.src && this.finish('failed'));
  }

  start(stream: MediaStream): void {
    this.stop();
    try {
      const recorder = new MediaRecorder(stream);
      const parts: Blob[] = [];
      recorder.addEventListener('dataavailable', (event) => parts.push(event.data));
      recorder.addEventListener('stop', () => this.recorder === recorder && this.play(new Blob(parts, { type: recorder.mimeType })));
      recorder.start();
      this.recorder = recorder;
      this.state.value = 'recording';
      setTimeout(() => recorder.state === 'recording' && recorder.stop(), LENGTH);
    } catch {
      this.finish('failed');
    }
  }

  /** Ends it at once, whatever it is doing. */
  stop(): void {
    const recorder = this.recorder;
    this.recorder = null;
    if (recorder?.state === 'recording') recorder.stop();
    this.audio.pause();
    this.finish('idle');
  }

  private play(recording: Blob): void {
    this.recorder = null;
    this.url = URL.createObjectURL(recording);
    this.audio.src = this.url;
    this.state.value = 'playing';
    this.audio.play().catch(() => this.finish('failed'));
  }

  private finish(state: 'idle' | 'done' | 'failed'): void {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = '';
    this.state.value = state;
  }
}
