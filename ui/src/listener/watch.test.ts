import { expect, test } from 'vitest';
import { nextLook } from './watch.ts';

test('looks are 15 s apart, 5 s near the announced start, and spread by a quarter', () => {
  expect(nextLook(null, () => 0.5)).toBe(15_000);
  expect(nextLook(3_600_000, () => 0.5)).toBe(15_000);
  expect(nextLook(90_000, () => 0.5)).toBe(5_000);
  expect(nextLook(-90_000, () => 0.5)).toBe(5_000);
  expect(nextLook(-600_000, () => 0)).toBe(11_250);
  expect(nextLook(0, () => 1)).toBe(6_250);
});
