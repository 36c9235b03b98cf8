import { expect, test } from 'vitest';
import { unroll } from './timeline.ts';

test('each change stands on those before it, and a whole one on none', () => {
  const seats = { a: { name: 'Ada', role: 'host' } };
  expect(
    unroll([
      { start: 0, whole: true, pulse: { phase: 'open', seats } },
      { start: 4, pulse: { phase: 'live', speaking: ['a'] } },
      { start: 9, pulse: { speaking: [] } },
      { start: 20, whole: true, pulse: { phase: 'live' } },
    ]),
  ).toEqual([
    { start: 0, pulse: { phase: 'open', seats } },
    { start: 4, pulse: { phase: 'live', seats, speaking: ['a'] } },
    { start: 9, pulse: { phase: 'live', seats, speaking: [] } },
    { start: 20, pulse: { phase: 'live' } },
  ]);
});
