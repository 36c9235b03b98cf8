import { type Box, children, viewOf } from './boxes.ts';

/** The programme's clock: samples a second, the timescale of the track. */
const SAMPLE_RATE = 48_000;

/** The schemes of the emsg boxes that carry the pulse, and how far behind a page is to stay. */
const PULSE = 'urn:hustings:pulse';
const PACE = 'urn:hustings:pace';

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

/** An event of the stream (emsg, version 1, ISO/IEC 23009-1 5.10.3.3). */
export interface StreamEvent {
  scheme: string;
  value: string;
  /** Seconds since the doors opened. */
  time: number;
  /** The JSON, parsed. */
  payload: unknown;
}

/** Reads an emsg box; null if it is damaged. */
export function readEvent(emsg: Box): StreamEvent | null {
  const { bytes } = emsg;
  // version and flags 4, timescale 4, presentation time 8, duration 4, id 4
  const fixed = emsg.header + 24;
  if (bytes.length < fixed || bytes[emsg.header] !== 1) return null;
  const view = viewOf(bytes);
  const timescale = view.getUint32(emsg.header + 4);
  const time = Number(view.getBigUint64(emsg.header + 8));
  const scheme = cString(bytes, fixed);
  const value = scheme && cString(bytes, scheme.next);
  if (!scheme || !value || timescale === 0) return null;
  const payload = parse(bytes.subarray(value.next));
  return payload === undefined ? null : { scheme: scheme.text, value: value.text, time: time / timescale, payload };
}

/** The pulse in an event; null if it is of another kind. */
export function pulseIn({ scheme, value, time, payload }: StreamEvent): PulseMessage | null {
  if (scheme !== PULSE || (value !== 'state' && value !== 'patch')) return null;
  return { time, kind: value, value: payload };
}

/** How many seconds behind the newest sound the server wants this page to stay; null if the event tells something else. */
export function depthIn({ scheme, value, payload }: StreamEvent): number | null {
  if (scheme !== PACE || value !== 'depth') return null;
  const depth = (payload as { depth?: unknown } | null)?.depth;
  return typeof depth === 'number' && Number.isFinite(depth) ? depth : null;
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
