import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { probe, Sink, type Feed } from './sink.ts';

/** A source whose buffer holds what was appended as seconds: a fragment's first byte is its start, each lasts half a second. */
class FakeSource extends EventTarget {
  static newest: FakeSource;
  static isTypeSupported = (type: string) => type.includes('"opus"');
  readyState = 'closed';
  streaming = true;
  appended: string[] = [];
  removed: number[] = [];
  buffer = Object.assign(new EventTarget(), {
    updating: false,
    appendBuffer: (bytes: Uint8Array) => this.appended.push(new TextDecoder().decode(bytes)),
    remove: (_from: number, to: number) => this.removed.push(to),
  });
  constructor() {
    super();
    FakeSource.newest = this;
  }
  addSourceBuffer = () => this.buffer;
  endOfStream = () => (this.readyState = 'ended');
  open(): void {
    this.readyState = 'open';
    this.dispatchEvent(new Event('sourceopen'));
  }
}

class FakeAudio extends EventTarget {
  src = '';
  currentTime = 0;
  playbackRate = 1;
  paused = false;
  seeking = false;
  disableRemotePlayback = false;
  spans: [number, number][] = [];
  get buffered() {
    return { length: this.spans.length, start: (i: number) => this.spans[i]![0], end: (i: number) => this.spans[i]![1] };
  }
  removeAttribute = () => {};
  load = () => {};
}

const bytes = (text: string) => new TextEncoder().encode(text);

function make(managed = false): { sink: Sink; audio: FakeAudio; source: FakeSource; pump: () => void } {
  const audio = new FakeAudio();
  const feed = { kind: FakeSource, type: 'audio/mp4; codecs="opus"', managed } as unknown as Feed;
  const sink = new Sink(audio as unknown as HTMLAudioElement, feed, (error) => {
    throw error;
  });
  const source = FakeSource.newest;
  // Each "updateend" lets the next waiting piece in.
  const pump = () => Array.from({ length: 200 }, () => source.buffer.dispatchEvent(new Event('updateend')));
  return { sink, audio, source, pump };
}

beforeEach(() => {
  vi.stubGlobal('URL', Object.assign(URL, { createObjectURL: () => 'blob:x', revokeObjectURL: () => {} }));
});
afterEach(() => vi.unstubAllGlobals());

test('both spellings and both sources are probed, the plain one first', () => {
  const opus = { isTypeSupported: (type: string) => type.includes('"opus"') };
  const capital = { isTypeSupported: (type: string) => type.includes('"Opus"') };
  expect(probe({ MediaSource: opus, ManagedMediaSource: capital })).toMatchObject({ type: 'audio/mp4; codecs="opus"', managed: false });
  expect(probe({ ManagedMediaSource: capital })).toMatchObject({ type: 'audio/mp4; codecs="Opus"', managed: true });
  expect(probe({ MediaSource: { isTypeSupported: () => false } })).toBeNull();
  expect(probe({})).toBeNull();
});

test('what came before the source was open is appended in order, and nothing twice', () => {
  const { sink, source, pump } = make();
  sink.init(bytes('ftyp'), bytes('moov'));
  sink.fragment(3, bytes('A'), bytes('a'));
  sink.fragment(3.5, bytes('B'), bytes('b'));
  source.open();
  pump();
  // A new connection repeats its backlog.
  sink.init(bytes('ftyp'), bytes('moov'));
  sink.fragment(3.5, bytes('B'), bytes('b'));
  sink.fragment(4, bytes('C'), bytes('c'));
  pump();
  expect(source.appended).toEqual(['ftypmoov', 'Aa', 'Bb', 'ftypmoov', 'Cc']);
});

test('a managed source is fed only while it asks, then with the init segment and the newest', () => {
  const { sink, audio, source, pump } = make(true);
  expect(audio.disableRemotePlayback).toBe(true);
  source.streaming = false;
  source.open();
  sink.init(bytes('init'));
  for (let i = 0; i < 300; i++) sink.fragment(i / 2, bytes(`${i}`), bytes('!'));
  pump();
  expect(source.appended).toEqual([]);
  source.streaming = true;
  source.dispatchEvent(new Event('startstreaming'));
  pump();
  expect(source.appended[0]).toBe('init');
  expect(source.appended.slice(1)).toEqual(Array.from({ length: 127 }, (_, i) => `${173 + i}!`));
});

test('what a managed source does not take yet counts as there, so a deep start needs no more of it', () => {
  const { sink, audio, source, pump } = make(true);
  sink.pace.follow(24);
  source.open();
  sink.init(bytes('init'));
  for (let i = 0; i < 20; i++) sink.fragment(100 + i / 2, bytes(`${i}`), bytes('!'));
  pump();
  source.streaming = false;
  for (let i = 20; i < 50; i++) sink.fragment(100 + i / 2, bytes(`${i}`), bytes('!'));
  audio.spans = [[100, 110]];
  sink.tick(0);
  expect(sink.flowing).toBe(true);
  expect(audio.currentTime).toBeCloseTo(101);
  expect(sink.reserve).toBeCloseTo(24);
});

test('playing begins near the live edge, once there is enough', () => {
  const { sink, audio, source } = make();
  source.open();
  audio.spans = [[100, 100.5]];
  sink.tick(0);
  expect(sink.flowing).toBe(false);
  audio.spans = [[100, 103]];
  sink.tick(0.2);
  expect(sink.flowing).toBe(true);
  expect(audio.currentTime).toBeCloseTo(103 - sink.pace.target);
});

test('it begins as deep as it was told, from the backlog', () => {
  const { sink, audio, source } = make();
  sink.pace.follow(20);
  source.open();
  audio.spans = [[100, 110]];
  sink.tick(0);
  expect(sink.flowing).toBe(false);
  audio.spans = [[100, 121]];
  sink.tick(0.2);
  expect([sink.flowing, audio.currentTime]).toEqual([true, 101]);
});

test('a short backlog, or a slow line, is not waited for long: it begins with the oldest', () => {
  const { sink, audio, source } = make();
  sink.pace.follow(20);
  source.open();
  audio.spans = [[100, 103]];
  sink.tick(0);
  sink.tick(0.5);
  expect(sink.flowing).toBe(false);
  sink.tick(0.8);
  expect([sink.flowing, audio.currentTime]).toEqual([true, 100.01]);
});

test('until there is enough it stands still, also where its position has sound already', () => {
  const { sink, audio, source } = make();
  source.open();
  audio.spans = [[0, 0.5]];
  sink.tick(0);
  expect([audio.playbackRate, sink.flowing]).toEqual([0, false]);
  audio.spans = [[0, 1.5]];
  sink.tick(0.2);
  expect([audio.playbackRate, sink.flowing, audio.currentTime]).toEqual([1, true, 0]);
});

test('a dry buffer is waited out with speed 0, and a later start keeps more', () => {
  const { sink, audio, source } = make();
  source.open();
  audio.spans = [[0, 3]];
  sink.tick(0);
  const before = sink.pace.target;
  audio.currentTime = 3;
  audio.dispatchEvent(new Event('waiting'));
  expect([audio.playbackRate, sink.flowing]).toEqual([0, false]);
  audio.spans = [[0, 4]];
  sink.tick(1);
  expect(sink.flowing).toBe(false);
  audio.spans = [[0, 5]];
  sink.tick(2);
  expect([audio.playbackRate, sink.flowing]).toEqual([1, true]);
  expect(sink.pace.target).toBeGreaterThan(before);
});

test('after a silence it goes on with what was missed', () => {
  const { sink, audio, source } = make();
  source.open();
  audio.spans = [[0, 3]];
  sink.tick(0);
  audio.currentTime = 3;
  audio.dispatchEvent(new Event('waiting'));
  audio.spans = [[0, 13]];
  sink.tick(10);
  expect([audio.playbackRate, audio.currentTime]).toEqual([1, 3]);
});

test('after a silence with a hole it goes on behind the hole', () => {
  const { sink, audio, source } = make();
  source.open();
  audio.spans = [[0, 3]];
  sink.tick(0);
  audio.currentTime = 3;
  audio.dispatchEvent(new Event('waiting'));
  audio.spans = [
    [0, 3],
    [5, 9],
  ];
  sink.tick(10);
  expect([audio.playbackRate, audio.currentTime]).toEqual([1, 5.01]);
});

test('"waiting" during a seek with sound ahead is no dry buffer', () => {
  const { sink, audio, source } = make();
  source.open();
  audio.spans = [[0, 3]];
  sink.tick(0);
  audio.dispatchEvent(new Event('waiting'));
  expect(sink.flowing).toBe(true);
});

test('a hole is jumped over', () => {
  const { sink, audio, source } = make();
  source.open();
  audio.spans = [[0, 3]];
  sink.tick(0);
  audio.currentTime = 3.5;
  audio.spans = [
    [0, 3],
    [8, 12],
  ];
  sink.tick(1);
  expect(audio.currentTime).toBeGreaterThanOrEqual(8);
});

test('old sound is let go of', () => {
  const { sink, audio, source } = make();
  source.open();
  audio.spans = [[0, 101]];
  sink.tick(0);
  sink.tick(0.2);
  expect(source.removed).toHaveLength(1);
  expect(source.removed[0]).toBeLessThan(audio.currentTime - 15);
});

test('the end is told to the source after the last piece', () => {
  const { sink, source, pump } = make();
  source.open();
  source.buffer.updating = true;
  sink.fragment(1, bytes('Z'), bytes('z'));
  sink.finish();
  expect(source.readyState).toBe('open');
  source.buffer.updating = false;
  pump();
  expect(source.appended).toEqual(['Zz']);
  expect(source.readyState).toBe('ended');
});
