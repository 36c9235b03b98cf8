import { afterEach, expect, test, vi } from 'vitest';
import { readStream } from './stream.ts';

const BOX = Uint8Array.from([0, 0, 0, 8, 0x66, 0x72, 0x65, 0x65]); // an empty "free"

function answer(response: () => Promise<Response>): void {
  vi.stubGlobal('fetch', vi.fn(response));
}

async function read(): Promise<{ outcome: unknown; boxes: number; opened: boolean }> {
  let boxes = 0;
  let opened = false;
  const outcome = await readStream('/live/x.mp4', new AbortController().signal, () => (opened = true), () => boxes++);
  return { outcome, boxes, opened };
}

afterEach(() => vi.unstubAllGlobals());

test('a stream is read box by box to its end', async () => {
  answer(async () => new Response(new Uint8Array([...BOX, ...BOX])));
  expect(await read()).toEqual({ outcome: { kind: 'finished' }, boxes: 2, opened: true });
});

test('a refusal tells its status and when to come back', async () => {
  answer(async () => new Response('{}', { status: 425, headers: { 'Retry-After': '7' } }));
  expect(await read()).toEqual({ outcome: { kind: 'refused', status: 425, retryAfter: 7 }, boxes: 0, opened: false });
  answer(async () => new Response('', { status: 503 }));
  expect((await read()).outcome).toEqual({ kind: 'refused', status: 503, retryAfter: null });
});

test('no connection, and bytes that are no boxes, are a broken stream', async () => {
  answer(async () => Promise.reject(new TypeError('network')));
  expect((await read()).outcome).toEqual({ kind: 'broken' });
  answer(async () => new Response(new Uint8Array(64)));
  expect((await read()).outcome).toEqual({ kind: 'broken' });
});

test('a connection that falls silent is given up', async () => {
  vi.useFakeTimers();
  vi.stubGlobal('fetch', async (_url: string, init: RequestInit) => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(BOX);
        init.signal?.addEventListener('abort', () => controller.error(new Error('aborted')));
      },
    });
    return new Response(body);
  });
  const reading = read();
  await vi.advanceTimersByTimeAsync(20_000);
  expect(await reading).toEqual({ outcome: { kind: 'broken' }, boxes: 1, opened: true });
  vi.useRealTimers();
});

test('an abort by the listener is no outcome', async () => {
  const leaving = new AbortController();
  answer(async () => {
    leaving.abort();
    throw new DOMException('left', 'AbortError');
  });
  await expect(readStream('/live/x.mp4', leaving.signal, () => {}, () => {})).rejects.toThrow('left');
});
