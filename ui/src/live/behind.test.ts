import { expect, test } from 'vitest';
import { Behind } from './behind.ts';

test('behind is counted from the block that came soonest after it was made', () => {
  const sound = new Behind();
  expect(sound.behind(100, 0)).toBeNull();
  // The backlog comes at once; its newest block is the live edge.
  for (const start of [10, 10.5, 11, 11.5]) sound.came(100, start);
  expect(sound.behind(100, 11)).toBeCloseTo(1.2);
  expect(sound.behind(101, 12)).toBeCloseTo(1.2);
});

test('blocks that come late make no difference; a sound that stood still does', () => {
  const sound = new Behind();
  sound.came(100, 11.5);
  sound.came(104, 12);
  expect(sound.behind(104, 12)).toBeCloseTo(4.2);
});

test('a new connection is measured anew', () => {
  const sound = new Behind();
  sound.came(100, 11.5);
  sound.restart();
  expect(sound.behind(101, 0)).toBeNull();
});
