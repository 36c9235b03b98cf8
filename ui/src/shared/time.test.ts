import { expect, test } from 'vitest';
import { clock, clockWords, count, countdown, countdownWords, fromLocalInput, toLocalInput, when } from './time.ts';

test('a countdown is split into its units and rounds up, so that it never shows zero early', () => {
  expect(countdown(90_061_000)).toEqual({ days: 1, hours: 1, minutes: 1, seconds: 1 });
  expect(countdown(1)).toEqual({ days: 0, hours: 0, minutes: 0, seconds: 1 });
  expect(countdown(0)).toBeNull();
  expect(countdown(-5)).toBeNull();
  expect(countdown(Number.NaN)).toBeNull();
});

test('a countdown in words names its two largest units', () => {
  const words = (ms: number) => countdownWords(countdown(ms)!);
  expect(words(90_061_000)).toBe('1 day and 1 hour');
  expect(words(7_200_000)).toBe('2 hours');
  expect(words(61_000)).toBe('1 minute and 1 second');
  expect(words(3_000)).toBe('3 seconds');
});

test('a clock shows hours only when there are any', () => {
  expect([0, 7, 754, 3723, -1, Number.NaN].map(clock)).toEqual(['0:00', '0:07', '12:34', '1:02:03', '0:00', '0:00']);
  expect(clockWords(3723)).toBe('1 hour 2 minutes 3 seconds');
  expect(clockWords(60)).toBe('1 minute');
  expect(clockWords(0)).toBe('0 seconds');
});

test('a moment is told in the given zone, with its name', () => {
  expect(when('2026-11-21T19:00:00Z', 'en-GB', 'UTC')).toBe('Saturday 21 November at 19:00 UTC');
  expect(when('2026-11-21T23:30:00Z', 'en-GB', 'Asia/Tokyo')).toContain('Sunday 22 November at 08:30');
});

test('local input and moment are each other’s inverse, to the minute', () => {
  const date = new Date('2026-11-21T19:42:00Z');
  expect(fromLocalInput(toLocalInput(date))).toBe(date.toISOString());
  expect(fromLocalInput('')).toBeNull();
  expect(fromLocalInput('soon')).toBeNull();
});

test('counts of people are shortened from ten thousand on', () => {
  expect(count(1204, 'en')).toBe('1,204');
  expect(count(12_345, 'en')).toBe('12.3K');
  expect(count(1_300_000, 'en')).toBe('1.3M');
});
