import { expect, test } from 'vitest';
import { replacedStart } from './announced.ts';

function storage(): Storage {
  const items = new Map<string, string>();
  return { getItem: (key: string) => items.get(key) ?? null, setItem: (key: string, value: string) => items.set(key, value) } as unknown as Storage;
}

test('a new start names the one that this browser was told before, for as long as it stands', () => {
  const kept = storage();
  expect(replacedStart('a', '2026-01-01T10:00:00Z', kept)).toBeNull();
  expect(replacedStart('a', '2026-01-01T10:00:00Z', kept)).toBeNull();
  expect(replacedStart('a', '2026-01-01T11:00:00Z', kept)).toBe('2026-01-01T10:00:00Z');
  expect(replacedStart('a', '2026-01-01T11:00:00Z', kept)).toBe('2026-01-01T10:00:00Z');
  expect(replacedStart('b', '2026-01-01T11:00:00Z', kept)).toBeNull();
});

test('a browser without storage is told no old start', () => {
  const refusing = { getItem: () => { throw new Error('denied'); } } as unknown as Storage;
  expect(replacedStart('a', '2026-01-01T10:00:00Z', refusing)).toBeNull();
});
