import type { Space } from './space.ts';

/** The space that the server wrote into the page; null when there is none of that name, undefined when nothing was written. */
export function embeddedSpace(): Space | null | undefined {
  const text = document.getElementById('space')?.textContent;
  if (!text) return undefined;
  const data = JSON.parse(text) as Space | { missing: true };
  return 'missing' in data ? null : data;
}
