import { expect, test, vi } from 'vitest';
import { backoff, pause } from './backoff.ts';

test('waits double up to the cap, in the upper half of each step', () => {
  const low = [0, 1, 2, 3, 10, 1000].map((tries) => backoff(tries, () => 0));
  const high = [0, 1, 2, 3, 10, 1000].map((tries) => backoff(tries, () => 1));
  expect(low).toEqual([250, 500, 1000, 2000, 7500, 7500]);
  expect(high).toEqual([500, 1000, 2000, 4000, 15000, 15000]);
});

test('a pause ends after its time', async () => {
  vi.useFakeTimers();
  let over = false;
  const done = pause(1000, new AbortController().signal).then(() => (over = true));
  await vi.advanceTimersByTimeAsync(999);
  expect(over).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await done;
  expect(over).toBe(true);
  vi.useRealTimers();
});

test('a pause ends at once when aborted, before or after it began', async () => {
  const controller = new AbortController();
  const waiting = pause(60_000, controller.signal);
  controller.abort(new Error('left'));
  await expect(waiting).rejects.toThrow('left');
  await expect(pause(60_000, controller.signal)).rejects.toThrow('left');
});
