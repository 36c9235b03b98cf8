import { expect, test } from 'vitest';
import { chooseWay, type Browser } from './way.ts';

const opus = { isTypeSupported: (type: string) => type.includes('"opus"') };
const none = { isTypeSupported: () => false };
const plays = (...types: string[]) => (type: string) => types.some((each) => type.startsWith(each));
const HLS = 'application/vnd.apple.mpegurl';
const AAC = { ext: 'm3u8', codec: 'aac' };
const OPUS = { ext: 'm3u8' };
const OGG = { ext: 'ogg' };

const browsers: Record<string, [Browser, unknown]> = {
  'Chromium, which plays HLS too': [{ scope: { MediaSource: opus, ManagedMediaSource: undefined }, vendor: 'Google Inc.', canPlay: plays(HLS, 'audio/ogg') }, 'pushed'],
  Firefox: [{ scope: { MediaSource: opus }, vendor: '', canPlay: plays('audio/ogg') }, 'pushed'],
  'Safari on a Mac': [{ scope: { MediaSource: opus, ManagedMediaSource: opus }, vendor: 'Apple Computer, Inc.', canPlay: plays(HLS, 'audio/ogg') }, [AAC, OPUS, OGG]],
  'Safari before 18.4, without Ogg': [{ scope: { MediaSource: none }, vendor: 'Apple Computer, Inc.', canPlay: plays(HLS) }, [AAC, OPUS]],
  'any browser on an iPhone': [{ scope: { ManagedMediaSource: opus }, vendor: 'Apple Computer, Inc.', canPlay: plays(HLS, 'audio/ogg') }, [AAC, OPUS, OGG]],
  'WebKit elsewhere, without HLS': [{ scope: { MediaSource: opus }, vendor: 'Apple Computer, Inc.', canPlay: plays('audio/ogg') }, 'pushed'],
  'a television that can’t be fed': [{ scope: {}, vendor: '', canPlay: plays(HLS) }, [AAC, OPUS]],
  'an old browser with Ogg alone': [{ scope: { MediaSource: none }, vendor: '', canPlay: plays('audio/ogg') }, [OGG]],
};

test.each(Object.entries(browsers))('%s', (_name, [browser, wanted]) => {
  const way = chooseWay(browser);
  if (wanted === 'pushed') expect(way).toMatchObject({ kind: 'pushed', feed: { type: 'audio/mp4; codecs="opus"' } });
  else expect(way).toEqual({ kind: 'files', files: wanted });
});

test('a browser that plays nothing of all this', () => {
  expect(chooseWay({ scope: {}, vendor: '', canPlay: () => false })).toEqual({ kind: 'none' });
});
