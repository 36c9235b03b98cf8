import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Microphone } from './mic.ts';

class FakeTrack extends EventTarget {
  live = true;
  constructor(readonly deviceId: string) {
    super();
  }
  stop = () => void (this.live = false);
  getSettings = () => ({ deviceId: this.deviceId });
}

const fakeStream = (track: FakeTrack) => ({ getTracks: () => [track], getAudioTracks: () => [track] }) as unknown as MediaStream;

/** Devices that answer when told to, with a track each. */
class FakeDevices extends EventTarget {
  asked: { audio: MediaTrackConstraints; grant: (deviceId?: string) => FakeTrack; refuse: (name: string) => void }[] = [];
  enumerateDevices = async () => [];
  getUserMedia = ({ audio }: { audio: MediaTrackConstraints }) =>
    new Promise<MediaStream>((resolve, reject) => {
      const grant = (deviceId = 'usual') => {
        const track = new FakeTrack(deviceId);
        resolve(fakeStream(track));
        return track;
      };
      this.asked.push({ audio, grant, refuse: (name) => reject(Object.assign(new Error(name), { name })) });
    });
}

const settle = () => vi.advanceTimersByTimeAsync(0);

function make() {
  const devices = new FakeDevices();
  const mic = new Microphone(devices as unknown as MediaDevices);
  const held = () => (mic.stream.value?.getAudioTracks()[0] as unknown as FakeTrack | undefined) ?? null;
  return { devices, mic, held };
}

beforeEach(() => {
  vi.useFakeTimers();
  const node = { connect: () => {}, disconnect: () => {}, getFloatTimeDomainData: () => {} };
  vi.stubGlobal('AudioContext', class {
    resume = async () => {};
    createAnalyser = () => node;
    createMediaStreamSource = () => node;
  });
  vi.stubGlobal('localStorage', { getItem: () => null, setItem: () => {} });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test('of openings that overlap the newest counts, and nothing else stays live or is metered', async () => {
  const { devices, mic, held } = make();
  void mic.open();
  void mic.process({ echoCancellation: false });
  void mic.process({ noiseSuppression: false });
  const newest = devices.asked[2]!.grant();
  await settle();
  const late = [devices.asked[1]!.grant(), devices.asked[0]!.grant()];
  await settle();
  expect(held()).toBe(newest);
  expect(newest.live).toBe(true);
  expect(late.map((track) => track.live)).toEqual([false, false]);
  expect(vi.getTimerCount()).toBe(1);
});

test('while it opens anew, the microphone that is there goes on', async () => {
  const { devices, mic, held } = make();
  void mic.open();
  const first = devices.asked[0]!.grant();
  await settle();
  void mic.process({ autoGainControl: false });
  await settle();
  expect(held()).toBe(first);
  expect(first.live).toBe(true);
  const second = devices.asked[1]!.grant();
  await settle();
  expect(held()).toBe(second);
  expect(first.live).toBe(false);
  expect(vi.getTimerCount()).toBe(1);
});

test('closed while it opens, it stays closed', async () => {
  const { devices, mic, held } = make();
  void mic.open();
  mic.close();
  const late = devices.asked[0]!.grant();
  await settle();
  expect([held(), late.live, vi.getTimerCount()]).toEqual([null, false, 0]);
});

test('a choice that fails leaves the old microphone, and says so', async () => {
  const { devices, mic, held } = make();
  void mic.open();
  const first = devices.asked[0]!.grant('a');
  await settle();
  void mic.choose('b');
  devices.asked[1]!.refuse('NotAllowedError');
  await settle();
  expect([held(), first.live, mic.deviceId.value, mic.trouble.value]).toEqual([first, true, 'a', 'refused']);
});

test('what was chosen once and is gone gives way to the usual one', async () => {
  const { devices, mic } = make();
  void mic.choose('gone');
  expect(devices.asked[0]!.audio.deviceId).toEqual({ exact: 'gone' });
  devices.asked[0]!.refuse('OverconstrainedError');
  await settle();
  expect(devices.asked[1]!.audio.deviceId).toBeUndefined();
  devices.asked[1]!.grant('usual');
  await settle();
  expect([mic.deviceId.value, mic.trouble.value]).toEqual(['usual', null]);
});

test('where only one microphone may be held, the old one is let go first', async () => {
  const { devices, mic, held } = make();
  void mic.open();
  const first = devices.asked[0]!.grant('a');
  await settle();
  void mic.choose('b');
  devices.asked[1]!.refuse('NotReadableError');
  await settle();
  expect([held(), first.live]).toEqual([null, false]);
  const second = devices.asked[2]!.grant('b');
  await settle();
  expect(held()).toBe(second);
});

test('a microphone that the system silences is told as paused, until it is back', async () => {
  const { devices, mic } = make();
  void mic.open();
  const track = devices.asked[0]!.grant();
  await settle();
  track.dispatchEvent(new Event('mute'));
  expect(mic.trouble.value).toBe('paused');
  track.dispatchEvent(new Event('unmute'));
  expect(mic.trouble.value).toBeNull();
  track.dispatchEvent(new Event('ended'));
  expect([mic.trouble.value, mic.stream.value]).toEqual(['unplugged', null]);
});
