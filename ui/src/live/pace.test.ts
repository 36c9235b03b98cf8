import { expect, test } from 'vitest';
import { Pace, TARGET } from './pace.ts';

/** Plays for some seconds with a block every half second and returns what was ahead at the end, right after a block. */
function play(pace: Pace, ahead: number, seconds: number): { ahead: number; jumps: number; rates: Set<number> } {
  let jumps = 0;
  let rate = 1;
  const rates = new Set<number>();
  for (let tick = 0; tick < seconds * 4; tick++) {
    const said = pace.steer(tick / 4, ahead);
    if (said === 'jump') {
      jumps++;
      ahead = pace.target;
    } else {
      rate = said;
      rates.add(rate);
    }
    ahead += (tick % 2 === 1 ? 0.5 : 0) - 0.25 * rate;
  }
  return { ahead, jumps, rates };
}

test('at the target the speed is left alone', () => {
  expect([...play(new Pace(), TARGET, 60).rates]).toEqual([1]);
});

test('too far behind is caught up gently and then left alone', () => {
  const { ahead, jumps, rates } = play(new Pace(), 3, 120);
  expect(jumps).toBe(0);
  expect(Math.max(...rates)).toBeLessThanOrEqual(1.03);
  expect(ahead).toBeGreaterThan(0.7);
  expect(ahead).toBeLessThan(1.5);
});

test('too close is backed off from', () => {
  const { ahead, rates } = play(new Pace(), 0.4, 60);
  expect(Math.min(...rates)).toBe(0.97);
  expect(ahead).toBeGreaterThan(0.55);
});

test('after a sleep it jumps once, to the target', () => {
  const { ahead, jumps } = play(new Pace(), 40, 20);
  expect(jumps).toBe(1);
  expect(ahead).toBeLessThan(TARGET + 0.5);
});

test('stalls raise the target up to a limit, and calm forgives them', () => {
  const pace = new Pace();
  for (let i = 0; i < 20; i++) pace.stalled(i);
  expect(pace.target).toBeCloseTo(TARGET + 2);
  for (let at = 20; at < 20 + 61 * 5; at += 1) pace.steer(at, 2);
  expect(pace.target).toBeLessThan(TARGET + 0.5);
});
