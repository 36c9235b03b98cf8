import { onAir, type Space } from '../shared/space.ts';

/** Spaces as the front page shows them. */
export interface Shelves {
  now: Space[];
  next: Space[];
  past: Space[];
}

/** A space without an announced start comes after those that have one. */
const startOf = (space: Space): number => (space.starts_at ? Date.parse(space.starts_at) : Infinity);
const endOf = (space: Space): number => Date.parse(space.ended_at ?? space.starts_at ?? '') || 0;

/** Sorts spaces into what is on (live before open), what comes (soonest first) and what was (newest first). */
export function shelve(spaces: Space[]): Shelves {
  const by = (rank: (space: Space) => number) => (a: Space, b: Space) => rank(a) - rank(b) || a.title.localeCompare(b.title);
  return {
    now: spaces.filter((space) => onAir(space.phase)).sort(by((space) => (space.phase === 'live' ? 0 : 1))),
    next: spaces.filter((space) => space.phase === 'scheduled').sort((a, b) => (startOf(a) === startOf(b) ? a.title.localeCompare(b.title) : startOf(a) - startOf(b))),
    past: spaces.filter((space) => space.phase === 'ended' || space.phase === 'cancelled').sort(by((space) => -endOf(space))),
  };
}
