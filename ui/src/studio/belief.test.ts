import { expect, test } from 'vitest';
import { Belief } from './belief.ts';

test('a connection that the stage knew and knows no more is made anew soon', () => {
  const belief = new Belief();
  const link = {};
  expect(belief.hear(link, true)).toBeNull();
  expect(belief.hear(link, null)).toBeNull();
  expect(belief.hear(link, false)).toBe(500);
});

test('right after joining the stage has time to notice, each time anew', () => {
  const belief = new Belief();
  const [first, second] = [{}, {}];
  expect(belief.hear(first, false)).toBe(4_000);
  expect(belief.hear(first, true)).toBeNull();
  expect(belief.hear(second, false)).toBe(4_000);
});

test('without a link, or without a word from the stage, there is nothing to doubt', () => {
  const belief = new Belief();
  expect(belief.hear(null, false)).toBeNull();
  expect(belief.hear({}, null)).toBeNull();
});
