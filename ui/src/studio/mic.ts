import { signal } from '@preact/signals';

/** What stands between a person and their microphone. */
export type MicTrouble = 'insecure' | 'refused' | 'none' | 'busy' | 'unplugged' | 'paused' | 'other';

/** Processing that browsers offer; on for speech in rooms, off for good microphones and music. */
export interface Processing {
  echoCancellation: boolean;
  noiseSuppression: boolean;
  autoGainControl: boolean;
}

/** dB by which the loudest of the last seconds sinks at each look, 15 times a second. */
const FALL = 0.5;

const CHOICE = 'hustings.microphone';

/**
 * One's own microphone: asked for once, changed at will. What is sent is a clone
 * of the track, so that muting it leaves the meter alive: who talks while muted
 * is told so.
 */
export class Microphone {
  readonly trouble = signal<MicTrouble | null>(null);
  readonly devices = signal<{ id: string; label: string }[]>([]);
  readonly deviceId = signal('');
  readonly processing = signal<Processing>({ echoCancellation: true, noiseSuppression: true, autoGainControl: true });
  /** The live stream; null while there is none. */
  readonly stream = signal<MediaStream | null>(null);
  /** Loudness in dBFS, some times a second; -100 is silence. */
  readonly level = signal(-100);
  /** The loudest of the last seconds, for words that do not flicker. */
  readonly recent = signal(-100);

  private context: AudioContext | null = null;
  private unplug: () => void = () => {};
  private unmeter: () => void = () => {};
  /** Counts openings: what an older one brings, after a newer one was asked for, is let go at once. */
  private turn = 0;

  constructor(private readonly media: MediaDevices | undefined = navigator.mediaDevices) {
    this.deviceId.value = localStorage.getItem(CHOICE) ?? '';
    media?.addEventListener('devicechange', () => void this.list());
  }

  /**
   * Asks for the microphone; again after a change of device or processing. The old
   * stream goes on until the new one is there, so that who is on stage stays heard.
   */
  async open(): Promise<void> {
    if (!this.media) {
      this.trouble.value = 'insecure';
      return;
    }
    const turn = ++this.turn;
    try {
      const stream = await this.ask(this.media);
      if (turn !== this.turn) {
        halt(stream);
        return;
      }
      this.trouble.value = null;
      this.take(stream);
      await this.list();
    } catch (error) {
      if (turn === this.turn) this.failed(error);
    }
  }

  async choose(deviceId: string): Promise<void> {
    this.deviceId.value = deviceId;
    localStorage.setItem(CHOICE, deviceId);
    await this.open();
  }

  async process(change: Partial<Processing>): Promise<void> {
    this.processing.value = { ...this.processing.peek(), ...change };
    await this.open();
  }

  /** Lets go of the microphone, and its light goes out. */
  close(): void {
    this.turn++;
    this.unplug();
    this.unmeter();
    halt(this.stream.peek());
    this.stream.value = null;
    this.level.value = -100;
    this.recent.value = -100;
  }

  private async ask(media: MediaDevices): Promise<MediaStream> {
    const device = this.deviceId.peek();
    const usual: MediaTrackConstraints = { ...this.processing.peek(), channelCount: 1 };
    try {
      // "exact", since browsers may pass over an "ideal" device in favour of the one they like.
      return await media.getUserMedia({ audio: device ? { ...usual, deviceId: { exact: device } } : usual });
    } catch (error) {
      const trouble = troubleOf(error);
      // A microphone that was chosen once and is gone gives way to the usual one.
      if (device && trouble === 'none') return media.getUserMedia({ audio: usual });
      // Some devices give one microphone at a time.
      if (trouble !== 'busy' || !this.stream.peek()) throw error;
      halt(this.stream.peek());
      this.stream.value = null;
      return media.getUserMedia({ audio: device ? { ...usual, deviceId: { exact: device } } : usual });
    }
  }

  /** What was there before goes on, if it still does, and is what the choice shows. */
  private failed(error: unknown): void {
    this.trouble.value = troubleOf(error);
    const track = this.stream.peek()?.getAudioTracks()[0];
    if (track) this.deviceId.value = track.getSettings().deviceId ?? '';
    else this.close();
  }

  private take(stream: MediaStream): void {
    const track = stream.getAudioTracks()[0];
    const old = this.stream.peek();
    this.unplug();
    const listening = new AbortController();
    const on = (event: string, act: () => void) => track?.addEventListener(event, act, { signal: listening.signal });
    on('ended', () => {
      this.close();
      this.trouble.value = 'unplugged';
    });
    // A phone call, say, or the microphone's own switch: the system sends silence.
    on('mute', () => (this.trouble.value = 'paused'));
    on('unmute', () => {
      void this.context?.resume();
      if (this.trouble.peek() === 'paused') this.trouble.value = null;
    });
    this.unplug = () => listening.abort();
    this.deviceId.value = track?.getSettings().deviceId ?? this.deviceId.peek();
    this.stream.value = stream;
    halt(old);
    this.meter(stream);
  }

  private async list(): Promise<void> {
    const all = (await this.media?.enumerateDevices()) ?? [];
    this.devices.value = all
      .filter((device) => device.kind === 'audioinput' && device.deviceId !== '')
      .map((device, i) => ({ id: device.deviceId, label: device.label || `Microphone ${i + 1}` }));
  }

  private meter(stream: MediaStream): void {
    this.unmeter();
    this.context ??= new AudioContext();
    void this.context.resume();
    const analyser = this.context.createAnalyser();
    analyser.fftSize = 2048;
    const source = this.context.createMediaStreamSource(stream);
    source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const metering = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const level = dBFS(samples);
      this.level.value = level;
      this.recent.value = Math.max(level, this.recent.peek() - FALL);
    }, 66);
    this.unmeter = () => {
      clearInterval(metering);
      source.disconnect();
    };
  }
}

function halt(stream: MediaStream | null): void {
  stream?.getTracks().forEach((track) => track.stop());
}

/** Loudness of samples by their power, in dB of full scale; -100 for silence. */
export function dBFS(samples: Float32Array): number {
  let power = 0;
  for (const sample of samples) power += sample * sample;
  return power === 0 ? -100 : Math.max(-100, 10 * Math.log10(power / samples.length));
}

/** What a refusal of getUserMedia means to a person. */
export function troubleOf(error: unknown): MicTrouble {
  switch (error instanceof Error ? error.name : '') {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'refused';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'none';
    case 'NotReadableError':
    case 'AbortError':
      return 'busy';
    default:
      return 'other';
  }
}
