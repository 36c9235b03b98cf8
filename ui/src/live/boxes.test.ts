import { expect, test } from 'vitest';
import { type Box, BoxSplitter, children, concat, viewOf } from './boxes.ts';
import { decodeTime, depthIn, pulseIn, readEvent } from './fragment.ts';

function box(type: string, ...payload: Uint8Array[]): Uint8Array {
  const body = concat(payload);
  const head = new Uint8Array(8);
  viewOf(head).setUint32(0, body.length + 8);
  head.set(new TextEncoder().encode(type), 4);
  return concat([head, body]);
}

function u32(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  values.forEach((value, i) => viewOf(bytes).setUint32(i * 4, value));
  return bytes;
}

function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigUint64(0, value);
  return bytes;
}

const text = (value: string) => new TextEncoder().encode(value);
const only = (bytes: Uint8Array) => new BoxSplitter().push(bytes)[0] as Box;

/** Small and deterministic, so that a failure can be repeated. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

test('boxes come out whole, however the bytes were cut', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = randomFrom(seed);
    const sent = Array.from({ length: 1 + Math.floor(random() * 8) }, () => {
      const body = Uint8Array.from({ length: Math.floor(random() * 300) }, () => Math.floor(random() * 256));
      return box(['ftyp', 'moof', 'mdat', 'emsg'][Math.floor(random() * 4)] as string, body);
    });
    const stream = concat(sent);
    const splitter = new BoxSplitter();
    const got: Box[] = [];
    for (let at = 0; at < stream.length; ) {
      const n = 1 + Math.floor(random() * (random() < 0.5 ? 5 : 200));
      got.push(...splitter.push(stream.subarray(at, at + n)));
      at += n;
    }
    expect(got.map((each) => [...each.bytes])).toEqual(sent.map((each) => [...each]));
  }
});

test('a 64-bit size is understood', () => {
  const bytes = concat([u32(1), text('mdat'), u64(20n), text('abcd')]);
  const found = only(bytes);
  expect([found.type, found.header, found.bytes.length]).toEqual(['mdat', 16, 20]);
});

test.each([
  ['a size below its header', concat([u32(7), text('moof')])],
  ['a size up to the end', concat([u32(0), text('mdat')])],
  ['a size beyond reason', concat([u32(1 << 30), text('mdat')])],
  ['a type that is no text', concat([u32(8), u32(0)])],
])('%s is refused', (_name, bytes) => {
  expect(() => new BoxSplitter().push(bytes)).toThrow('not a box');
});

test('a fragment tells when it begins, in both widths', () => {
  const moof = (tfdt: Uint8Array) => only(box('moof', box('mfhd', u32(0, 1)), box('traf', box('tfhd', u32(0, 1)), tfdt)));
  expect(decodeTime(moof(box('tfdt', u32(0, 96_000))))).toBe(2);
  expect(decodeTime(moof(box('tfdt', u32(1 << 24), u64(48_000n * 86_400n))))).toBe(86_400);
  expect(decodeTime(moof(box('tfdt', u32(1 << 24))))).toBeNull();
  expect(decodeTime(only(box('moof', box('mfhd', u32(0, 1)))))).toBeNull();
});

test('children are found from where they start', () => {
  expect(children(only(box('moov', box('mvhd'), box('trak', u32(5))))).map((each) => each.type)).toEqual(['mvhd', 'trak']);
});

const emsg = (scheme: string, value: string, payload: string, timescale = 48_000) =>
  only(box('emsg', u32(1 << 24, timescale), u64(72_000n), u32(0, 7), text(`${scheme}\0${value}\0${payload}`)));

const readPulse = (message: Box) => {
  const event = readEvent(message);
  return event && pulseIn(event);
};

test('the depth to follow is read, and nothing else for it', () => {
  const depth = (message: Box) => {
    const event = readEvent(message);
    return event && depthIn(event);
  };
  expect(depth(emsg('urn:hustings:pace', 'depth', '{"depth":3.5}'))).toBe(3.5);
  expect(depth(emsg('urn:hustings:pace', 'other', '{"depth":3.5}'))).toBeNull();
  expect(depth(emsg('urn:hustings:pulse', 'depth', '{"depth":3.5}'))).toBeNull();
  for (const payload of ['{"depth":"3"}', '{"depth":null}', '{"depth":1e999}', '{}', 'null', '3', '[3]']) {
    expect(depth(emsg('urn:hustings:pace', 'depth', payload))).toBeNull();
  }
  expect(readPulse(emsg('urn:hustings:pace', 'state', '{}'))).toBeNull();
});

test('a pulse is read with its time and kind', () => {
  expect(readPulse(emsg('urn:hustings:pulse', 'patch', '{"speaking":["a"]}'))).toEqual({
    time: 1.5,
    kind: 'patch',
    value: { speaking: ['a'] },
  });
});

test.each([
  ['another scheme', emsg('urn:other', 'patch', '{}')],
  ['another kind', emsg('urn:hustings:pulse', 'poke', '{}')],
  ['no JSON', emsg('urn:hustings:pulse', 'patch', '{"a":')],
  ['no timescale', emsg('urn:hustings:pulse', 'patch', '{}', 0)],
  ['version 0', only(box('emsg', u32(0), text('urn:hustings:pulse\0patch\0aaaaaaaaaaaaaaaaaaaa')))],
  ['a box too short', only(box('emsg', u32(1 << 24)))],
  ['texts without an end', only(box('emsg', u32(1 << 24, 48_000), u64(0n), u32(0, 7), text('urn:hustings:pulse')))],
])('a message with %s is passed over', (_name, message) => {
  expect(readPulse(message)).toBeNull();
});
