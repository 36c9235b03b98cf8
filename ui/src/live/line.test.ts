import { afterEach, expect, test, vi } from 'vitest';
import { askLine, Line } from './line.ts';

/** Looks five times a second while nothing comes; returns when it asked. */
function dryFrom(line: Line, from: number, until: number, answer: (at: number) => 'lost' | 'fine' | 'dead'): { asked: number[]; moved: number | null } {
  const asked: number[] = [];
  for (let at = from; at < until; at += 0.2) {
    if (!line.look(at, true)) continue;
    asked.push(at);
    if (line.answered(at, answer(at)) === 'move') return { asked, moved: at };
  }
  return { asked, moved: null };
}

test('while there is sound nothing is asked', () => {
  const line = new Line();
  for (let at = 0; at < 60; at += 0.2) expect(line.look(at, false)).toBe(false);
});

test('a crowd that falls silent asks spread over a second', () => {
  const first = Array.from({ length: 200 }, (_, i) => dryFrom(new Line(() => i / 200), 0, 5, () => 'lost').asked[0] ?? NaN);
  expect(Math.min(...first)).toBeLessThan(0.5);
  expect(Math.max(...first)).toBeGreaterThan(1);
  expect(Math.max(...first)).toBeLessThan(1.5);
});

test('a lost line is held on to, and asked after no more than every two seconds', () => {
  const line = new Line(() => 0);
  const { asked, moved } = dryFrom(line, 0, 60, () => 'lost');
  expect([moved, line.held]).toEqual([null, true]);
  asked.slice(1).forEach((at, i) => expect(at - asked[i]!).toBeGreaterThan(1.99));
  expect(dryFrom(new Line(() => 1), 0, 60, () => 'lost').asked.length).toBeLessThan(12);
});

test('sound ends the wait', () => {
  const line = new Line(() => 0);
  dryFrom(line, 0, 5, () => 'lost');
  line.came();
  expect([line.held, line.look(5, false), line.weary(100)]).toEqual([false, false, false]);
});

test('a server that is well but silent is left, but not at the first question', () => {
  const { asked, moved } = dryFrom(new Line(), 0, 20, () => 'fine');
  expect(asked.length).toBe(2);
  expect(moved).toBeGreaterThanOrEqual(2);
  expect(moved).toBeLessThan(5);
});

test('a dead server is left at once', () => {
  expect(dryFrom(new Line(), 0, 20, () => 'dead').asked).toHaveLength(1);
});

test('when the line is back, what was missed gets time to come', () => {
  const line = new Line(() => 0);
  const { moved } = dryFrom(line, 0, 20, (at) => (at < 10 ? 'lost' : 'fine'));
  expect(line.held).toBe(false);
  // First its word that it is well, then another two seconds of silence.
  expect(moved).toBeGreaterThan(12);
});

test('after a while others are looked at, not by all at once', () => {
  const weary = [0, 0.5, 0.999].map((luck) => {
    const line = new Line(() => luck);
    dryFrom(line, 0, 3, () => 'lost');
    let at = 3;
    while (!line.weary(at)) at += 0.1;
    return at;
  });
  expect(weary[0]).toBeGreaterThan(14);
  expect(weary[2]! - weary[0]!).toBeGreaterThan(13);
});

test('an answer that comes when there is sound again means nothing', () => {
  const line = new Line(() => 0);
  line.look(0, true);
  expect(line.look(0.5, true)).toBe(true);
  line.came();
  expect([line.answered(1, 'dead'), line.held]).toEqual(['stay', false]);
});

afterEach(() => vi.unstubAllGlobals());

test.each([
  ['lost', async () => new Response('{}', { headers: { 'Hustings-Bus': 'lost' } })],
  ['lost', async () => new Response('{}', { status: 503, headers: { 'Hustings-Bus': 'lost' } })],
  ['fine', async () => new Response('{}')],
  ['fine', async () => new Response('{}', { status: 410 })],
  ['dead', async () => Promise.reject(new TypeError('network'))],
] as const)('asked, a server says %s', async (says, answer) => {
  vi.stubGlobal('fetch', vi.fn(answer));
  expect(await askLine('/live/x/pulse')).toBe(says);
});

test('a server that does not answer in time is dead', async () => {
  vi.useFakeTimers();
  vi.stubGlobal('fetch', (_url: string, init: RequestInit) => new Promise((_resolve, reject) => init.signal?.addEventListener('abort', () => reject(new Error('aborted')))));
  const asking = askLine('/live/x/pulse');
  await vi.advanceTimersByTimeAsync(3_000);
  expect(await asking).toBe('dead');
  vi.useRealTimers();
});
