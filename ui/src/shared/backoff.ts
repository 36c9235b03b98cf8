/**
 * How long to wait before the next try, in milliseconds: doubling from `base` up
 * to `cap`, and anywhere in the upper half of that. The spread keeps a crowd that
 * lost its server in one moment from coming back in one moment.
 */
export function backoff(tries: number, random = Math.random, base = 500, cap = 15_000): number {
  const ceiling = Math.min(cap, base * 2 ** Math.min(tries, 30));
  return ceiling / 2 + (ceiling / 2) * random();
}

/** Resolves after `ms`, or as soon as the browser is online again, or rejects when aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void) => () => {
      clearTimeout(timer);
      globalThis.removeEventListener?.('online', awake);
      signal.removeEventListener('abort', aborted);
      settle();
    };
    const awake = finish(resolve);
    const aborted = finish(() => reject(signal.reason));
    const timer = setTimeout(awake, ms);
    globalThis.addEventListener?.('online', awake);
    signal.addEventListener('abort', aborted);
    if (signal.aborted) aborted();
  });
}
