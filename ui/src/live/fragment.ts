import { type Box, children, viewOf } from './boxes.ts';

/** The programme's clock: samples a second, the timescale of the track. */
const SAMPLE_RATE = 48_000;

/** The scheme of the emsg boxes that carry the pulse. */
const PULSE = 'urn:hustings:pulse';

/** A pulse as it came in the stream. */
export interface PulseMessage {
  /** When it is so, in seconds since the doors opened. */
  time: number;
  /** A "state" is whole, a "patch" is against the one before. */
  kind: 'state' | 'patch';
  /** The JSON, parsed. */
  value: unknown;
}

/** When a fragment begins, in seconds since the doors opened, from its moof box; null if it doesn't say. */
export function decodeTime(moof: Box): number | null {
  const traf = children(moof).find((box) => box.type === 'traf');
  const tfdt = traf && children(traf).find((box) => box.type === 'tfdt');
  if (!tfdt || tfdt.bytes.length < 16) return null;
  const view = viewOf(tfdt.bytes);
  const wide = view.getUint8(8) === 1;
  if (wide && tfdt.bytes.length < 20) return null;
  return (wide ? Number(view.getBigUint64(12)) : view.getUint32(12)) / SAMPLE_RATE;
}

/** The pulse in an emsg box (version 1, ISO/IEC 23009-1 5.10.3.3); null if it is of another scheme or damaged. */
export function readPulse(emsg: Box): PulseMessage | null {
  const { bytes } = emsg;
  // version and flags 4, timescale 4, presentation time 8, duration 4, id 4
  const fixed = emsg.header + 24;
  if (bytes.length < fixed || bytes[emsg.header] !== 1) return null;
  const view = viewOf(bytes);
  const timescale = view.getUint32(emsg.header + 4);
  const time = Number(view.getBigUint64(emsg.header + 8));
  const scheme = cString(bytes, fixed);
  const value = scheme && cString(bytes, scheme.next);
  if (!scheme || !value || scheme.text !== PULSE || timescale === 0) return null;
  if (value.text !== 'state' && value.text !== 'patch') return null;
  const payload = parse(bytes.subarray(value.next));
  return payload === undefined ? null : { time: time / timescale, kind: value.text, value: payload };
}

function cString(bytes: Uint8Array, from: number): { text: string; next: number } | null {
  const end = bytes.indexOf(0, from);
  return end < 0 ? null : { text: new TextDecoder().decode(bytes.subarray(from, end)), next: end + 1 };
}

function parse(json: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(json));
  } catch {
    return undefined;
  }
}
