import { expect, test } from 'vitest';
import { Edge } from './edge.ts';

test('behind is counted from the block that came soonest after it was made', () => {
  const edge = new Edge();
  expect(edge.behind(100, 0)).toBeNull();
  // The backlog comes at once; its newest block is the live edge.
  for (const start of [10, 10.5, 11, 11.5]) edge.came(100, start);
  expect(edge.behind(100, 11)).toBeCloseTo(1.2);
  expect(edge.behind(101, 12)).toBeCloseTo(1.2);
});

test('blocks that come late make no difference; a sound that stood still does', () => {
  const edge = new Edge();
  edge.came(100, 11.5);
  edge.came(104, 12);
  expect(edge.behind(104, 12)).toBeCloseTo(4.2);
});

test('a new connection is measured anew', () => {
  const edge = new Edge();
  edge.came(100, 11.5);
  edge.restart();
  expect(edge.behind(101, 0)).toBeNull();
});
