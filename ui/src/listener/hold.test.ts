import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Hold } from './hold.ts';

class FakeContext {
  static made = 0;
  state = 'running';
  constructor() {
    FakeContext.made++;
  }
  suspend = async () => void (this.state = 'suspended');
}

class FakeMusic {
  static played: [boolean, number][] = [];
  play = (wanted: boolean, volume: number) => void FakeMusic.played.push([wanted, volume]);
}

const loads = vi.fn();
const module = { HoldMusic: FakeMusic } as never;
const settle = () => new Promise((resolve) => setTimeout(resolve));

beforeEach(() => {
  FakeContext.made = 0;
  FakeMusic.played = [];
  loads.mockReset().mockResolvedValue(module);
  vi.stubGlobal('AudioContext', FakeContext);
});
afterEach(() => vi.unstubAllGlobals());

test('nothing is loaded before it is asked for, and one context serves all presses', async () => {
  const hold = new Hold(loads);
  hold.allow();
  hold.allow();
  await settle();
  expect([FakeContext.made, loads.mock.calls.length]).toEqual([1, 0]);
  hold.prepare();
  hold.prepare();
  await settle();
  expect([loads.mock.calls.length, FakeMusic.played.length]).toEqual([1, 0]);
});

test('it plays and fades at the page’s volume', async () => {
  const hold = new Hold(loads);
  hold.allow();
  hold.loud(0.5);
  hold.play(true);
  hold.play(true);
  await settle();
  hold.loud(0);
  await settle();
  hold.play(false);
  await settle();
  expect(FakeMusic.played).toEqual([
    [true, 0.5],
    [true, 0],
    [false, 0],
  ]);
});

test('what could not be loaded is loaded when there is need', async () => {
  loads.mockRejectedValueOnce(new TypeError('network'));
  const hold = new Hold(loads);
  hold.allow();
  hold.prepare();
  await settle();
  hold.play(true);
  await settle();
  expect(FakeMusic.played).toEqual([[true, 1]]);
});

test('a browser without Web Audio is left in silence', async () => {
  vi.stubGlobal('AudioContext', undefined);
  const hold = new Hold(loads);
  hold.allow();
  hold.play(true);
  await settle();
  expect(loads).not.toHaveBeenCalled();
});
