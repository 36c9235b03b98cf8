import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Problem } from '../shared/api.ts';
import { nextLook, nextTry, SpaceWatch, type Watching } from './watch.ts';

const middle = () => 0.5;

test('far from the start looks are 10 to 15 s apart, near it 5 s, and spread by a fifth', () => {
  expect(nextLook(null, false, middle)).toBe(12_500);
  expect(nextLook(3_600_000, true, () => 0)).toBe(10_000);
  expect(nextLook(3_600_000, true, () => 1)).toBe(15_000);
  expect(nextLook(90_000, false, middle)).toBe(5_000);
  expect(nextLook(-90_000, false, () => 1)).toBe(6_000);
});

test('who waits near the start, or for one that was not announced, is let in within seconds', () => {
  expect(nextLook(90_000, true, middle)).toBe(2_000);
  expect(nextLook(-2_400_000, true, middle)).toBe(2_000);
  expect(nextLook(null, true, () => 1)).toBe(2_400);
  expect(nextLook(-7_200_000, true, middle)).toBe(12_500);
});

test('after failures the pauses grow, up to a minute, and are no shorter than the server asks', () => {
  expect([0, 1, 2, 9].map((tries) => nextTry(tries, new Problem(0, ''), () => 1))).toEqual([2_000, 4_000, 8_000, 60_000]);
  expect(nextTry(0, new Problem(503, '', [], 30), () => 0)).toBe(30_000);
  expect(nextTry(0, new Problem(429, '', [], 30), () => 1)).toBe(37_500);
});

const page = (change: Partial<Watching> = {}): Watching => ({
  wanted: () => true,
  startsIn: () => null,
  waiting: () => true,
  found: vi.fn(),
  failed: vi.fn(),
  ...change,
});

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test('it looks by itself while that is wanted, and hands over what it finds', async () => {
  const fetch = vi.fn(async () => Response.json({ id: 'a', phase: 'open' }));
  vi.stubGlobal('fetch', fetch);
  let wanted = false;
  const its = page({ wanted: () => wanted });
  new SpaceWatch('a', its);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(fetch).not.toHaveBeenCalled();
  wanted = true;
  await vi.advanceTimersByTimeAsync(2_500);
  expect(its.found).toHaveBeenCalledWith({ id: 'a', phase: 'open' });
  expect(its.failed).toHaveBeenLastCalledWith(0);
});

test('it counts failures in a row, waits as it is told, and two looks at once are one', async () => {
  const fetch = vi.fn(async () => new Response('', { status: 503, headers: { 'Retry-After': '20' } }));
  vi.stubGlobal('fetch', fetch);
  const its = page();
  const watch = new SpaceWatch('a', its);
  await Promise.all([watch.look(), watch.look()]);
  expect(fetch).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(19_000);
  expect(fetch).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(7_000);
  expect(fetch).toHaveBeenCalledTimes(2);
  expect(its.failed).toHaveBeenLastCalledWith(2);
  expect(its.found).not.toHaveBeenCalled();
});

test('a space that is not there any more is told as none', async () => {
  vi.stubGlobal('fetch', async () => new Response('{}', { status: 404 }));
  const its = page();
  await new SpaceWatch('a', its).look();
  expect(its.found).toHaveBeenCalledWith(null);
});
