/** What a browser was last told about a start, so that it can say what a new one replaces. */
interface Told {
  start: string;
  before?: string;
}

/** Remembers an announced start and returns the one that it replaced, if this browser was told one. */
export function replacedStart(id: string, start: string, storage: Storage): string | null {
  const key = `hustings.start.${id}`;
  try {
    const told = JSON.parse(storage.getItem(key) ?? 'null') as Told | null;
    if (told?.start === start) return told.before ?? null;
    const now: Told = told ? { start, before: told.start } : { start };
    storage.setItem(key, JSON.stringify(now));
    return now.before ?? null;
  } catch {
    // No storage, or not ours: then there is nothing to compare with.
    return null;
  }
}
