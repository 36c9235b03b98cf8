import { retryAfter } from '../shared/api.ts';
import { type Box, BoxSplitter } from './boxes.ts';

/** How reading the stream came to its end. */
export type Outcome =
  | { kind: 'finished' } // the body was closed in good order
  | { kind: 'refused'; status: number; retryAfter: number | null } // seconds
  | { kind: 'broken' }; // no connection, cut off, silent, given up, or not our stream

/** Seconds in which a server has to answer. */
const ANSWER = 5;

/** What reading tells and asks. */
export interface Reading {
  /** The server has let us in. */
  opened: () => void;
  /** A box is complete. */
  box: (box: Box) => void;
  /** Seconds without a byte after which the connection is taken for dead, whatever the browser thinks. */
  patience: () => number;
}

/** Reads a live stream to its end, or until `connection` is given up. Never throws. */
export async function readStream(url: string, connection: AbortController, reading: Reading): Promise<Outcome> {
  let open = false;
  let last = performance.now();
  const watchdog = setInterval(() => {
    if (performance.now() - last > 1000 * (open ? reading.patience() : ANSWER)) connection.abort();
  }, 500);
  try {
    const response = await fetch(url, { signal: connection.signal, cache: 'no-store' });
    if (!response.ok || !response.body) {
      connection.abort();
      return { kind: 'refused', status: response.status, retryAfter: retryAfter(response) };
    }
    open = true;
    reading.opened();
    const splitter = new BoxSplitter();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { kind: 'finished' };
      last = performance.now();
      splitter.push(value).forEach(reading.box);
    }
  } catch {
    connection.abort();
    return { kind: 'broken' };
  } finally {
    clearInterval(watchdog);
  }
}
