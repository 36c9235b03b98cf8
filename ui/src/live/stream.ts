import { retryAfter } from '../shared/api.ts';
import { type Box, BoxSplitter } from './boxes.ts';

/** How reading the stream came to its end. */
export type Outcome =
  | { kind: 'finished' } // the body was closed in good order
  | { kind: 'refused'; status: number; retryAfter: number | null } // seconds
  | { kind: 'broken' }; // no connection, cut off, silent, or not our stream

/** Two blocks come a second; this long without a byte the connection is dead, whatever the browser thinks. */
const SILENCE = 8_000;

/**
 * Reads a live stream to its end, giving each box as it is complete. `opened` is
 * called once the server has let us in. Never throws, but for an abort.
 */
export async function readStream(
  url: string,
  signal: AbortSignal,
  opened: () => void,
  each: (box: Box) => void,
): Promise<Outcome> {
  const connection = new AbortController();
  const stop = () => connection.abort();
  signal.addEventListener('abort', stop);
  let watchdog = setTimeout(stop, SILENCE);
  try {
    const response = await fetch(url, { signal: connection.signal, cache: 'no-store' });
    if (!response.ok || !response.body) {
      connection.abort();
      return { kind: 'refused', status: response.status, retryAfter: retryAfter(response) };
    }
    opened();
    const splitter = new BoxSplitter();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { kind: 'finished' };
      clearTimeout(watchdog);
      watchdog = setTimeout(stop, SILENCE);
      splitter.push(value).forEach(each);
    }
  } catch (error) {
    connection.abort();
    if (signal.aborted) throw error;
    return { kind: 'broken' };
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener('abort', stop);
  }
}
