import { afterEach, expect, test, vi } from 'vitest';
import { readStream } from './stream.ts';

const BOX = Uint8Array.from([0, 0, 0, 8, 0x66, 0x72, 0x65, 0x65]); // an empty "free"

function answer(response: () => Promise<Response>): void {
  vi.stubGlobal('fetch', vi.fn(response));
}

let patience = 8;

async function read(): Promise<{ outcome: unknown; boxes: number; opened: boolean }> {
  let boxes = 0;
  let opened = false;
  const outcome = await readStream('/live/x.mp4', new AbortController(), { opened: () => (opened = true), box: () => boxes++, patience: () => patience });
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

/** An answer that gives one box and then nothing, until it is given up. */
async function silent(_url: string, init: RequestInit): Promise<Response> {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(BOX);
      init.signal?.addEventListener('abort', () => controller.error(new Error('aborted')));
    },
  });
  return new Response(body);
}

test('a connection that falls silent is given up, but not before its time', async () => {
  vi.useFakeTimers();
  vi.stubGlobal('fetch', silent);
  patience = 30;
  const reading = read();
  let ended = false;
  void reading.then(() => (ended = true));
  await vi.advanceTimersByTimeAsync(29_000);
  expect(ended).toBe(false);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(await reading).toEqual({ outcome: { kind: 'broken' }, boxes: 1, opened: true });
  vi.useRealTimers();
});

test('a server that does not answer is given up soon', async () => {
  vi.useFakeTimers();
  vi.stubGlobal('fetch', (_url: string, init: RequestInit) => new Promise((_resolve, reject) => init.signal?.addEventListener('abort', () => reject(new Error('aborted')))));
  patience = Infinity;
  const reading = read();
  await vi.advanceTimersByTimeAsync(6_000);
  expect(await reading).toEqual({ outcome: { kind: 'broken' }, boxes: 0, opened: false });
  vi.useRealTimers();
});

test('a connection that is given up from outside is broken', async () => {
  vi.stubGlobal('fetch', silent);
  const connection = new AbortController();
  const reading = readStream('/live/x.mp4', connection, { opened: () => {}, box: () => connection.abort(), patience: () => 8 });
  expect(await reading).toEqual({ kind: 'broken' });
});
