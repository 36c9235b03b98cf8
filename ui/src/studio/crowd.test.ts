import { expect, test } from 'vitest';
import { capacityWords, iphoneWords, rehearseCommand, type Capacity } from './crowd.ts';

const shown: Capacity = { listeners: 15_000, rehearsed_at: '2026-11-21T20:00:00Z', stale: false, why: '' };

test('a capacity is told with its day, and is good while it holds', () => {
  const { kind, title, detail } = capacityWords(shown);
  expect([kind, title]).toEqual(['good', 'Rehearsed for 15,000 listeners']);
  expect(detail).toContain('without a gap');
});

test('a capacity that is out of date says what has changed', () => {
  const { kind, detail } = capacityWords({ ...shown, stale: true, why: 'the version is another one' });
  expect(kind).toBe('hold');
  expect(detail).toContain('Since then: the version is another one. Rehearse again');
  expect(capacityWords({ ...shown, stale: true }).detail).toContain('has changed since');
});

test('before the first rehearsal there is no figure, and a way to get one', () => {
  const never: Capacity = { listeners: 0, rehearsed_at: null, stale: true, why: 'nothing was rehearsed' };
  expect(capacityWords(never).title).toBe('Not rehearsed yet');
  expect(rehearseCommand('https://h.example/s/x', never)).toBe('hustings rehearse https://h.example/s/x --listeners 1000');
  expect(rehearseCommand('https://h.example/s/x', shown)).toContain('--listeners 15000');
  expect(rehearseCommand('https://h.example/s/x', null)).toContain('--listeners 1000');
});

test('iPhones are ready with AAC, and without it the reason is told', () => {
  expect(iphoneWords({ aac: { available: true, reason: '' } }).kind).toBe('good');
  const { kind, detail } = iphoneWords({ aac: { available: false, reason: 'ffmpeg is not installed' } });
  expect(kind).toBe('hold');
  expect(detail).toMatch(/Ffmpeg is not installed\.$/);
});
