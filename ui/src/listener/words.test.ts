import { expect, test } from 'vitest';
import type { PlayerState } from '../live/player.ts';
import type { Phase } from '../shared/space.ts';
import { lengthWords, type Situation, wordsFor } from './words.ts';

const calm: Situation = { phase: 'live', player: 'playing', startsIn: null, notice: '', lostSince: null, heard: true, unreached: false, behind: 1.5, speaking: true };
const say = (change: Partial<Situation>) => wordsFor({ ...calm, ...change });

const PHASES: Phase[] = ['scheduled', 'open', 'live', 'ended', 'cancelled'];
const PLAYERS: PlayerState[] = ['idle', 'waiting', 'connecting', 'buffering', 'playing', 'held', 'lost', 'blocked', 'over', 'failed'];

test('every situation has words of whole sentences', () => {
  for (const phase of PHASES) {
    for (const player of PLAYERS) {
      const words = say({ phase, player });
      expect(words.headline, `${phase} ${player}`).not.toBe('');
      expect(words.detail, `${phase} ${player}`).toMatch(/[.!?]$/);
    }
  }
});

test('what is over has no button; all else has one', () => {
  for (const player of PLAYERS) {
    expect(say({ phase: 'ended', player }).button).toBeNull();
    expect(say({ phase: 'cancelled', player }).button).toBeNull();
    for (const phase of ['scheduled', 'open', 'live'] as const) expect(say({ phase, player }).button).not.toBeNull();
  }
});

test('before the doors open, it says that it begins by itself', () => {
  expect(say({ phase: 'scheduled', player: 'idle', startsIn: 60_000 })).toMatchObject({
    detail: expect.stringContaining('begins by itself'),
    button: { does: 'listen' },
  });
  expect(say({ phase: 'scheduled', player: 'waiting', startsIn: 60_000 })).toMatchObject({
    headline: 'You’re all set',
    button: { does: 'stop' },
  });
  expect(say({ phase: 'scheduled', player: 'waiting', startsIn: -1 }).headline).toBe('Any moment now');
});

test('a lost connection says since when, and what happens next', () => {
  const { headline, detail } = say({ player: 'lost', lostSince: '20:15' });
  expect(headline).toBe('Connection lost');
  expect(detail).toContain('since 20:15');
  expect(detail).toContain('reconnects by itself');
});

test('a server without its line to the stage says so calmly, and that nothing is missed', () => {
  const { headline, detail, button } = say({ player: 'held' });
  expect(headline).toBe('Waiting for the stage');
  expect(detail).toContain('lost its line to the stage; you are still connected');
  expect(detail).toContain('what you missed');
  expect(button?.does).toBe('stop');
});

test('what was never heard was not lost', () => {
  expect(say({ player: 'lost', heard: false, lostSince: '20:15' })).toMatchObject({ headline: 'No connection yet', button: { does: 'stop' } });
});

test('a page without a stream says when the server does not answer, and keeps its button', () => {
  const waiting = say({ phase: 'scheduled', player: 'waiting', unreached: true });
  expect(waiting).toMatchObject({ headline: 'No connection', button: { label: 'Stop waiting' } });
  expect(waiting.detail).toContain('tries again by itself');
  expect(say({ phase: 'live', player: 'idle', unreached: true }).button?.does).toBe('listen');
  expect(say({ player: 'playing', unreached: true }).headline).toBe('You’re listening live');
});

test.each([
  [null, 'a little behind'],
  [1.5, 'a second or two behind'],
  [4, 'a few seconds behind'],
  [12, 'about 10 seconds behind'],
])('%s s behind the stage is told as "%s"', (behind, words) => {
  expect(say({ behind }).detail).toContain(words);
});

test('the server’s notice is shown where there is nothing to hear', () => {
  expect(say({ notice: 'The host has stepped away.' }).detail).toBe('The host has stepped away.');
  expect(say({ phase: 'open', notice: 'We begin at half past.' }).detail).toBe('We begin at half past.');
});

test('silence on a live stage is not taken for a fault', () => {
  expect(say({ speaking: false }).detail).toContain('quiet on stage');
});

test('a recording is told to the minute, and where it starts', () => {
  expect(lengthWords(0, 0)).toBe('The whole event, less than a minute long.');
  expect(lengthWords(3_724, 0)).toBe('The whole event, 1 hour 2 minutes long.');
  expect(lengthWords(600, 120)).toBe('The whole event, 10 minutes long. It starts where the event went live.');
});
