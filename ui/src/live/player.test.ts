import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Address } from './address.ts';
import { Edges } from './edges.ts';
import { StreamPlayer } from './player.ts';
import type { Feed } from './sink.ts';
import { makeSigner } from './signer.test-help.ts';

class FakeSource extends EventTarget {
  readyState = 'closed';
  addSourceBuffer = () => new EventTarget();
}

class FakeAudio extends EventTarget {
  src = '';
  currentTime = 0;
  playbackRate = 1;
  paused = false;
  seeking = false;
  ended = false;
  buffered = { length: 0, start: () => 0, end: () => 0 };
  play = async () => {};
  removeAttribute = () => {};
  load = () => {};
}

/** A server's side: what each asked address answers. */
type Answer = (init: RequestInit | undefined) => Promise<Response>;
let answers: Record<string, Answer>;
let asked: { url: string; at: number }[];

const refused: Answer = () => Promise.reject(new TypeError('network'));
const status = (code: number, headers: Record<string, string> = {}): Answer => async () => new Response('{}', { status: code, headers });

/** An endless stream; `cut` ends all that are open. */
let open: (() => void)[];
const endless: Answer = async (init) =>
  new Response(
    new ReadableStream({
      start(controller) {
        const fail = () => controller.error(new Error('cut'));
        open.push(fail);
        init?.signal?.addEventListener('abort', fail);
      },
    }),
  );

const cut = () => open.splice(0).forEach((fail) => fail());
const streams = () => asked.filter(({ url }) => url.includes('.mp4')).map(({ url }) => new URL(url, 'https://own.example').origin);

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  open = [];
  answers = {};
  vi.stubGlobal('window', globalThis);
  vi.stubGlobal('URL', Object.assign(URL, { createObjectURL: () => 'blob:x', revokeObjectURL: () => {} }));
  vi.stubGlobal('fetch', (url: string, init?: RequestInit) => {
    asked.push({ url, at: performance.now() });
    const match = Object.keys(answers).find((part) => url.startsWith(part));
    return (match === undefined ? refused : answers[match]!)(init);
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function make(...list: string[]): Promise<StreamPlayer> {
  const signer = await makeSigner('log.example');
  const edges = new Edges({ own: 'https://own.example', keys: async () => [signer.verifier], random: Math.random, now: Date.now });
  if (list.length > 0) edges.learn(await signer.sign(['hustings/edges', '2026-11-21T20:00:00Z', ...list, ''].join('\n')), '');
  await edges.settled();
  const feed = { kind: FakeSource, type: 'audio/mp4', managed: false } as unknown as Feed;
  const audio = new FakeAudio() as unknown as HTMLAudioElement;
  return new StreamPlayer(audio, new Address('debate', 'TOKEN', edges), feed, () => true, () => {});
}

const tick = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test('it follows the depth, and names its listener', async () => {
  answers = { '/live': endless };
  (await make()).press();
  await tick(10);
  expect(asked[0]?.url).toBe('/live/debate.mp4?follow=1&listener=TOKEN');
});

test('an edge that is lost is left at once for another', async () => {
  answers = { 'https://a.example': endless, 'https://b.example': endless };
  const player = await make('1 https://a.example', '1 https://b.example');
  player.press();
  await tick(1_000);
  expect(streams()).toHaveLength(1);
  const before = performance.now();
  cut();
  await tick(100);
  expect(new Set(streams())).toEqual(new Set(['https://a.example', 'https://b.example']));
  expect(asked.at(-1)!.at - before).toBeLessThan(50);
  expect(player.lostSince.peek()).toBeNull();
});

test('edges that refuse are gone through with pauses, and the page’s own server comes last', async () => {
  answers = { 'https://a.example': status(503, { 'Retry-After': '60' }), 'https://b.example': status(404), '/live': endless };
  const player = await make('1 https://a.example', '1 https://b.example', '0 https://own.example');
  player.press();
  await tick(5_000);
  expect(streams().slice(0, 2).sort()).toEqual(['https://a.example', 'https://b.example']);
  expect(streams()[2]).toBe('https://own.example');
  expect(player.lostSince.peek()).toBeNull();
  player.stop();
});

test('an edge that takes a page in and drops it again and again is not asked in a frenzy', async () => {
  answers = { 'https://a.example': async () => new Response(new Uint8Array()), '/live': async () => new Response(new Uint8Array()) };
  const player = await make('1 https://a.example');
  player.press();
  await tick(10_000);
  expect(streams().length).toBeGreaterThan(3);
  expect(streams().length).toBeLessThan(20);
  player.stop();
});

test('a server that has lost its line to the stage is held on to, and the page says so', async () => {
  answers = { 'https://a.example/live/debate.mp4': endless, 'https://a.example/live/debate/pulse': status(200, { 'Hustings-Bus': 'lost' }), 'https://b.example': refused, '/live': refused };
  const player = await make('1 https://a.example', '0 https://own.example');
  player.press();
  await tick(10_000);
  expect(player.state.peek()).toBe('held');
  expect(streams()).toEqual(['https://a.example']);
  const questions = asked.filter(({ url }) => url.endsWith('/pulse'));
  expect(questions.length).toBeGreaterThan(0);
  expect(questions.length).toBeLessThan(5);
  // Also long after: the connection is not taken for dead.
  await tick(60_000);
  expect(streams()).toEqual(['https://a.example']);
  player.stop();
  expect(player.state.peek()).toBe('idle');
});

test('when another server still has the programme, one that has been cut off for long is left', async () => {
  answers = { 'https://a.example/live/debate.mp4': endless, 'https://a.example/live/debate/pulse': status(200, { 'Hustings-Bus': 'lost' }), '/live/debate/pulse': status(200), '/live': endless };
  const player = await make('1 https://a.example', '0 https://own.example');
  player.press();
  await tick(12_000);
  expect(streams()).toEqual(['https://a.example']);
  await tick(60_000);
  expect(streams().slice(0, 2)).toEqual(['https://a.example', 'https://own.example']);
  player.stop();
});

test('a server that is well but silent is left for another, and stayed with where there is none', async () => {
  answers = { 'https://a.example/live/debate.mp4': endless, 'https://a.example/live/debate/pulse': status(200), '/live': endless };
  const player = await make('1 https://a.example', '0 https://own.example');
  player.press();
  await tick(7_000);
  expect(streams()).toEqual(['https://a.example', 'https://own.example']);
  player.stop();

  asked = [];
  answers = { '/live/debate.mp4': endless, '/live/debate/pulse': status(200) };
  const alone = await make();
  alone.press();
  await tick(8_000);
  expect(streams()).toHaveLength(1);
  alone.stop();
});

test('what is gone is over, wherever that was said', async () => {
  answers = { 'https://a.example': status(410) };
  const player = await make('1 https://a.example');
  player.press();
  await tick(100);
  expect(player.state.peek()).toBe('over');
});
