import { call, Problem } from '../shared/api.ts';
import type { Space } from '../shared/space.ts';

/** Milliseconds between two looks at a space, for a page that has no stream to tell it. */
const CALM = 15_000;
const NEAR = 5_000;

/** "Near" begins this long before the announced start, and lasts as long after. */
const WINDOW = 120_000;

/** When to look next: sooner near the announced start, and never all pages at once. */
export function nextLook(startsIn: number | null, random = Math.random): number {
  const near = startsIn !== null && Math.abs(startsIn) < WINDOW;
  return (near ? NEAR : CALM) * (0.75 + random() / 2);
}

/**
 * Looks at the space again and again while `wanted` says so, and hands over what
 * it finds. An answer that does not come changes nothing: the next look may.
 */
export function watchSpace(id: string, startsIn: () => number | null, wanted: () => boolean, found: (space: Space | null) => void): () => void {
  let timer = 0;
  const look = async () => {
    if (wanted()) {
      try {
        found(await call<Space>(`/spaces/${id}`));
      } catch (error) {
        if (error instanceof Problem && error.status === 404) found(null);
      }
    }
    timer = window.setTimeout(look, nextLook(startsIn()));
  };
  timer = window.setTimeout(look, nextLook(startsIn()));
  return () => clearTimeout(timer);
}
