import { expect, test } from 'vitest';
import { Problem } from '../shared/api.ts';
import { tokenIn } from './entry.ts';
import { troubleOf, dBFS } from './mic.ts';
import { audienceHears, micWords, seatWords } from './words.ts';

test('what the audience hears is told apart for every phase', () => {
  const titles = (['scheduled', 'open', 'live', 'ended', 'cancelled'] as const).map((phase) => audienceHears(phase, null).title);
  expect(new Set(titles).size).toBe(5);
  expect(audienceHears('live', null).title).toBe('On air');
  expect(audienceHears('open', null).detail).toContain('stays on stage');
});

test.each([
  ['NotAllowedError', 'refused'],
  ['NotFoundError', 'none'],
  ['OverconstrainedError', 'none'],
  ['NotReadableError', 'busy'],
  ['TypeError', 'other'],
] as const)('%s of a microphone is "%s" and has words', (name, trouble) => {
  expect(troubleOf(Object.assign(new Error('x'), { name }))).toBe(trouble);
  expect(micWords(trouble).detail).toMatch(/\.$/);
});

test('a seat that stands needs no words; any other says what comes next', () => {
  expect(seatWords('up', null, null)).toBeNull();
  expect(seatWords('off', null, null)).toBeNull();
  expect(seatWords('lost', null, new Problem(0, 'no answer'))?.detail).toContain('again by itself');
  expect(seatWords('refused', null, new Problem(503, 'the stage is full: ask the host for a seat'))?.detail).toBe(
    'The stage is full: ask the host for a seat.',
  );
});

test('being replaced or removed goes before the state of the connection', () => {
  expect(seatWords('lost', { kind: 'replaced', detail: 'you joined elsewhere' }, null)?.detail).toContain('Join here');
  expect(seatWords('up', { kind: 'removed', detail: 'the host took you off' }, null)?.title).toBe('You were taken off the stage');
});

test('a token is read from a fragment', () => {
  expect(tokenIn('#token=abc.def-_')).toBe('abc.def-_');
  expect(tokenIn('#token=')).toBeNull();
  expect(tokenIn('')).toBeNull();
});

test('loudness is in dB of full scale', () => {
  expect(dBFS(new Float32Array(100))).toBe(-100);
  expect(dBFS(new Float32Array(100).fill(1))).toBeCloseTo(0);
  expect(dBFS(new Float32Array(100).fill(0.1))).toBeCloseTo(-20);
});
