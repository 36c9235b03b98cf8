import { expect, test } from 'vitest';
import { RATE, round } from './hold-music.ts';

const samples = round();
const rms = (from: number, to: number) => Math.sqrt(samples.slice(from * RATE, to * RATE).reduce((sum, x) => sum + x * x, 0) / ((to - from) * RATE));

test('it is quiet, and never silent', () => {
  expect(samples.every((x) => Math.abs(x) <= 0.1601)).toBe(true);
  for (let at = 0; at < samples.length / RATE; at++) expect(rms(at, at + 1)).toBeGreaterThan(0.01);
});

test('where it begins again nothing clicks', () => {
  const steps = samples.map((x, i) => Math.abs(x - samples[(i + samples.length - 1) % samples.length]!));
  const usual = steps.slice(1).reduce((most, x) => Math.max(most, x), 0);
  expect(steps[0]).toBeLessThanOrEqual(usual);
});
