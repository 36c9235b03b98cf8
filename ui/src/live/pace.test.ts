import { expect, test } from 'vitest';
import { Pace, TARGET } from './pace.ts';

/** A server's side of a test: deliveries every `interval` seconds, with blocks of half a second. */
interface Server {
  interval: (at: number) => number;
  depth?: (at: number) => number;
  /** Seconds that a delivery is late on its way. */
  late?: () => number;
}

interface Played {
  pace: Pace;
  rates: number[];
  skips: number;
  backwards: number;
  dry: number;
  /** Seconds behind the newest sound at the end of each second. */
  depths: number[];
}

/** A random number that is the same in each run. */
function dice(seed: number): () => number {
  return () => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed / 2147483648;
  };
}

const TICK = 0.1;
const BEGIN = 100;

/** Plays `seconds` of a programme from `depth` behind it, with everything up to then in the backlog. */
function play(server: Server, seconds: number, depth: number, pace = new Pace()): Played {
  const played: Played = { pace, rates: [], skips: 0, backwards: 0, dry: 0, depths: [] };
  let newest = BEGIN;
  let position = BEGIN - depth;
  let rate = 1;
  let next = BEGIN + Math.min(0.5, server.interval(BEGIN));
  const onTheWay: { at: number; end: number }[] = [];
  if (server.depth) pace.follow(server.depth(BEGIN));
  pace.came(BEGIN, newest);
  pace.begun();
  for (let tick = 1; tick <= seconds / TICK; tick++) {
    const at = BEGIN + tick * TICK;
    if (at >= next) {
      onTheWay.push({ at: at + (server.late?.() ?? 0), end: Math.floor(at * 2 + 1e-6) / 2 });
      next += server.interval(at);
    }
    if (server.depth) pace.follow(server.depth(at));
    while (onTheWay[0] && onTheWay[0].at <= at) {
      // Block by block, as a burst is taken apart.
      const { end } = onTheWay.shift()!;
      for (; newest < end; newest += 0.5) pace.came(at, newest + 0.5);
    }
    const before = position;
    position += rate * TICK;
    if (position > newest) {
      position = newest;
      played.dry += TICK;
    }
    const said = pace.steer(at, position);
    if (said.skip !== 0) played.skips++;
    if (said.skip < 0 || position < before) played.backwards++;
    position += said.skip;
    rate = said.rate;
    played.rates.push(rate);
    if (tick % Math.round(1 / TICK) === 0) played.depths.push(pace.depth(at, position) ?? NaN);
  }
  return played;
}

const last = (played: Played) => played.depths.at(-1) ?? NaN;
const inBounds = (played: Played) => Math.min(...played.rates) >= 0.97 && Math.max(...played.rates) <= 1.03;

test('at the target the speed is left alone', () => {
  const played = play({ interval: () => 0.5 }, 60, TARGET);
  expect(new Set(played.rates)).toEqual(new Set([1]));
});

test('too far behind is caught up gently and then left alone', () => {
  const played = play({ interval: () => 0.5 }, 120, 3);
  expect([played.skips, played.dry]).toEqual([0, 0]);
  expect(inBounds(played)).toBe(true);
  expect(last(played)).toBeGreaterThan(0.85);
  expect(last(played)).toBeLessThan(1.4);
  expect(played.rates.slice(-100)).toEqual(Array(100).fill(1));
});

test('too close is backed off from', () => {
  const played = play({ interval: () => 0.5 }, 60, 0.55);
  expect(Math.min(...played.rates)).toBe(0.97);
  expect(last(played)).toBeGreaterThan(0.8);
});

test.each([0.5, 1, 2, 4, 7, 10, 15, 20])('deliveries every %d s at a depth half a second beyond never run dry, and change nothing', (interval) => {
  const depth = Math.max(TARGET, interval + 0.5);
  const played = play({ interval: () => interval, depth: () => depth }, 20 * interval + 60, depth + 0.1);
  expect([played.dry, played.skips, played.backwards]).toEqual([0, 0, 0]);
  expect(inBounds(played)).toBe(true);
  expect(Math.abs(last(played) - depth)).toBeLessThan(0.7);
});

test.each([1, 5, 10, 20])('deliveries every %d s that come unevenly are given more depth than was told, within bounds', (interval) => {
  const random = dice(7);
  const depth = interval + 0.8;
  const played = play({ interval: () => interval, depth: () => depth, late: () => 0.6 * random() }, 40 * interval + 100, depth);
  expect([played.dry, played.skips]).toEqual([0, 0]);
  expect(inBounds(played)).toBe(true);
  expect(last(played)).toBeLessThan(depth + 1.5);
});

/** Late by turns: every second delivery by so much. */
function byTurns(late: () => number): () => number {
  let turn = 0;
  return () => (turn++ % 2 ? late() : 0);
}

test('little left before deliveries is made more before it is none', () => {
  let at = BEGIN;
  const late = byTurns(() => (at < BEGIN + 100 ? 0.4 : 0.6));
  const played = play({ interval: (now) => ((at = now), 5), depth: () => 5.5, late }, 200, 5.5);
  expect([played.dry, played.skips]).toEqual([0, 0]);
  expect(last(played)).toBeGreaterThan(5.6);
  expect(last(played)).toBeLessThan(6.6);
});

test('deliveries that are late by turns do not make the speed go up and down', () => {
  const played = play({ interval: () => 10, depth: () => 10.8, late: byTurns(() => 0.5) }, 300, 10.8);
  expect(new Set(played.rates)).toEqual(new Set([1]));
});

test('a depth that falls before deliveries come more often is not followed into a dry buffer', () => {
  const played = play({ interval: (at) => (at > BEGIN + 160 ? 0.5 : 20), depth: (at) => (at > BEGIN + 60 ? TARGET : 21) }, 900, 21);
  expect([played.dry, played.skips]).toEqual([0, 0]);
  expect(last(played)).toBeLessThan(1.5);
});

test('a depth that rises is followed at 0.97, ahead of what the server counts on, and never runs dry', () => {
  // The server's model of a page: it deepens by 0.025 s a second, and the interval keeps half a second below it.
  const model = (at: number) => Math.min(24, TARGET + 0.025 * (at - BEGIN));
  const depth = () => 24;
  const played = play({ interval: (at) => Math.max(0.5, model(at) - 0.5), depth }, 1000, TARGET);
  expect([played.dry, played.skips]).toEqual([0, 0]);
  expect(inBounds(played)).toBe(true);
  played.depths.forEach((now, second) => expect(now).toBeGreaterThan(model(BEGIN + second) - 0.35));
  expect(last(played)).toBeGreaterThan(23.3);
  expect(last(played)).toBeLessThan(24.7);
});

test('a depth that falls is followed at 1.03, without a jump', () => {
  const calm = (at: number) => at > BEGIN + 60;
  const played = play({ interval: (at) => (calm(at) ? 0.5 : 20), depth: (at) => (calm(at) ? TARGET : 21) }, 900, 21);
  expect([played.dry, played.skips]).toEqual([0, 0]);
  expect(inBounds(played)).toBe(true);
  expect(last(played)).toBeLessThan(1.5);
  expect(last(played)).toBeGreaterThan(0.8);
});

test('a depth that goes up and down all the time does no harm', () => {
  const depth = (at: number) => 6 + 4 * Math.sin(at / 50);
  const played = play({ interval: () => 1, depth }, 600, 6);
  expect([played.dry, played.skips, played.backwards]).toEqual([0, 0, 0]);
  expect(inBounds(played)).toBe(true);
});

test('far behind, after a sleep, it jumps once, to the target', () => {
  const played = play({ interval: () => 0.5 }, 20, 40);
  expect([played.skips, played.backwards, played.dry]).toEqual([1, 0, 0]);
  expect(last(played)).toBeLessThan(TARGET + 0.5);
});

test('what was missed in a short silence is heard, and made up for gently', () => {
  const played = play({ interval: () => 0.5 }, 400, 11);
  expect(played.skips).toBe(0);
  expect(last(played)).toBeLessThan(1.5);
});

test('a jump between rare deliveries never leads beyond what is there', () => {
  const played = play({ interval: () => 10, depth: () => 10.6 }, 60, 80);
  expect([played.skips, played.dry]).toEqual([1, 0]);
});

test('after a stall one delivery is enough to go on, however deep the target', () => {
  const pace = new Pace();
  pace.follow(20.5);
  pace.stalled(0);
  expect(pace.enough).toBeCloseTo(TARGET + 0.4);
  expect(pace.target).toBeCloseTo(20.9);
});

test('stalls raise the target up to a limit, and calm forgives them', () => {
  const pace = new Pace();
  for (let i = 0; i < 20; i++) pace.stalled(i);
  expect(pace.target).toBeCloseTo(TARGET + 2);
  for (let at = 20; at < 20 + 61 * 5; at += 1) pace.steer(at, at);
  expect(pace.target).toBeLessThan(TARGET + 0.5);
});

test('a told depth is kept within reason', () => {
  const pace = new Pace();
  for (const told of [NaN, Infinity]) pace.follow(told);
  expect(pace.target).toBe(TARGET);
  pace.follow(0);
  expect(pace.target).toBeCloseTo(0.6);
  pace.follow(1e9);
  expect(pace.target).toBe(60);
});
