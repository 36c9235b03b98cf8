import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Address, type File } from './address.ts';
import { Edges } from './edges.ts';
import { PlainPlayer } from './plain.ts';

class FakeAudio extends EventTarget {
  src = '';
  error: { code: number } | null = null;
  tried: string[] = [];
  play = async () => void this.tried.push(this.src);
  removeAttribute = () => {};
  load = () => {};
  fail(code: number): void {
    this.error = { code };
    this.dispatchEvent(new Event('error'));
  }
}

const FILES: File[] = [{ ext: 'm3u8', codec: 'aac' }, { ext: 'm3u8' }, { ext: 'ogg' }];
const NETWORK = 2;
const UNSUPPORTED = 4;

let audio: FakeAudio;
let asked: string[];
let statuses: Record<string, number>;
let headers: Record<string, string>;

function make(): PlainPlayer {
  const edges = new Edges({ own: 'https://own.example', keys: async () => [], random: Math.random, now: Date.now });
  const player = new PlainPlayer(audio as unknown as HTMLAudioElement, new Address('debate', 'TOKEN', edges), FILES, () => true);
  player.press();
  return player;
}

const tick = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const paths = () => audio.tried.map((url) => url.replace('/live/debate', ''));

beforeEach(() => {
  vi.useFakeTimers();
  audio = new FakeAudio();
  asked = [];
  statuses = {};
  headers = {};
  vi.stubGlobal('window', globalThis);
  vi.stubGlobal('MediaError', { MEDIA_ERR_DECODE: 3 });
  vi.stubGlobal('fetch', async (url: string) => {
    asked.push(url);
    const status = statuses[url.replace('/live/debate', '').replace('listener=TOKEN', '').replace(/n=\d+/, '').replace(/[?&]+$/, '')] ?? 200;
    if (status === 0) throw new TypeError('network');
    return new Response('{"phase":"live","title":"Debate"}', { status, headers });
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('AAC is asked for first, with the listener’s name', async () => {
  make();
  expect(paths()).toEqual(['.m3u8?codec=aac&listener=TOKEN']);
});

test('where there is no AAC it is Opus, and where there is no HLS it is Ogg', async () => {
  statuses['.m3u8?codec=aac'] = 406;
  statuses['.m3u8'] = 406;
  const player = make();
  audio.fail(UNSUPPORTED);
  await tick(10);
  expect(paths()[1]).toBe('.m3u8?listener=TOKEN');
  audio.fail(UNSUPPORTED);
  await tick(10);
  expect(paths()[2]).toMatch(/^\.ogg\?listener=TOKEN&n=\d+$/);
  audio.dispatchEvent(new Event('playing'));
  expect(player.state.peek()).toBe('playing');
  player.stop();
});

test('what is there and can’t be played is passed over; when nothing is left, the page says so', async () => {
  const player = make();
  for (let i = 0; i < 3 * FILES.length; i++) {
    audio.fail(UNSUPPORTED);
    await tick(2_100);
  }
  // Each is given some time: a programme that has just begun may be too short for it.
  expect(paths().map((path) => path.replace(/&n=\d+/, ''))).toEqual(
    ['.m3u8?codec=aac&listener=TOKEN', '.m3u8?listener=TOKEN', '.ogg?listener=TOKEN'].flatMap((path) => [path, path, path]),
  );
  expect(player.state.peek()).toBe('failed');
});

test('a network that fails changes nothing about the file', async () => {
  statuses['.m3u8?codec=aac'] = 0;
  const player = make();
  audio.fail(NETWORK);
  await tick(10);
  expect(player.state.peek()).toBe('lost');
  await tick(2_000);
  expect(paths()).toEqual(['.m3u8?codec=aac&listener=TOKEN', '.m3u8?codec=aac&listener=TOKEN']);
  player.stop();
});

test('the pulse is asked for, and tells the end', async () => {
  const player = make();
  audio.dispatchEvent(new Event('playing'));
  await tick(4_000);
  expect(asked.filter((url) => url === '/live/debate/pulse')).toHaveLength(1);
  expect(player.pulse.peek()?.title).toBe('Debate');
  statuses['/pulse'] = 410;
  await tick(4_000);
  expect(player.state.peek()).toBe('over');
  const before = asked.length;
  await tick(20_000);
  expect(asked.length).toBe(before);
});

test('a server that has lost its line to the stage is held on to', async () => {
  const player = make();
  audio.dispatchEvent(new Event('playing'));
  headers['Hustings-Bus'] = 'lost';
  audio.dispatchEvent(new Event('waiting'));
  await tick(40_000);
  expect([player.state.peek(), paths().length]).toEqual(['held', 1]);
  delete headers['Hustings-Bus'];
  await tick(4_000);
  expect(player.state.peek()).toBe('buffering');
  audio.dispatchEvent(new Event('playing'));
  expect(player.state.peek()).toBe('playing');
  player.stop();
});

test('a silence without a reason is ended by a new connection', async () => {
  const player = make();
  audio.dispatchEvent(new Event('playing'));
  audio.dispatchEvent(new Event('waiting'));
  await tick(16_000);
  expect(paths().length).toBe(2);
  player.stop();
});
