import { expect, test } from 'vitest';
import type { Phase, Space } from '../shared/space.ts';
import { shelve } from './shelves.ts';

const space = (id: string, phase: Phase, more: Partial<Space> = {}): Space => ({
  id,
  title: id,
  phase,
  links: { listen: '', studio: '', ogg: '' },
  ...more,
});

test('what is on, what comes and what was, each in its order', () => {
  const shelves = shelve([
    space('undated', 'scheduled'),
    space('later', 'scheduled', { starts_at: '2026-03-01T10:00:00Z' }),
    space('sooner', 'scheduled', { starts_at: '2026-02-01T10:00:00Z' }),
    space('doors', 'open'),
    space('air', 'live'),
    space('old', 'ended', { ended_at: '2025-01-01T10:00:00Z' }),
    space('off', 'cancelled', { ended_at: '2025-06-01T10:00:00Z' }),
    space('recent', 'ended', { ended_at: '2026-01-01T10:00:00Z' }),
    space('an undated', 'scheduled'),
  ]);
  const ids = (spaces: Space[]) => spaces.map((each) => each.id);
  expect(ids(shelves.now)).toEqual(['air', 'doors']);
  expect(ids(shelves.next)).toEqual(['sooner', 'later', 'an undated', 'undated']);
  expect(ids(shelves.past)).toEqual(['recent', 'off', 'old']);
});
