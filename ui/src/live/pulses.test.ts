import { expect, test } from 'vitest';
import { PulseQueue } from './pulses.ts';

const state = { phase: 'open', title: 'Talk', speaking: [], tally: { now: 1, peak: 1, total: 1 } };

test('states come due with the sound, each as the sum of its patches', () => {
  const queue = new PulseQueue();
  queue.push({ time: 10, kind: 'state', value: state });
  queue.push({ time: 10.5, kind: 'patch', value: { tally: { now: 2 } } });
  queue.push({ time: 11, kind: 'patch', value: { phase: 'live', speaking: ['a'] } });
  expect(queue.due(9)).toBeNull();
  expect(queue.due(10)).toEqual(state);
  expect(queue.due(10.4)).toBeNull();
  expect(queue.due(12)).toEqual({ ...state, phase: 'live', speaking: ['a'], tally: { now: 2, peak: 1, total: 1 } });
  expect(queue.due(13)).toBeNull();
});

test('what was received is known before it is due', () => {
  const queue = new PulseQueue();
  queue.push({ time: 0, kind: 'state', value: state });
  queue.push({ time: 5, kind: 'patch', value: { phase: 'ended' } });
  expect(queue.due(1)?.phase).toBe('open');
  expect(queue.received?.phase).toBe('ended');
});

test('a patch before any state is passed over, also after a restart', () => {
  const queue = new PulseQueue();
  queue.push({ time: 0, kind: 'patch', value: { phase: 'live' } });
  expect(queue.due(1)).toBeNull();
  queue.push({ time: 0, kind: 'state', value: state });
  queue.restart();
  queue.push({ time: 1, kind: 'patch', value: { phase: 'live' } });
  expect(queue.due(Infinity)).toBeNull();
});
