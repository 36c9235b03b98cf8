import type { File } from './address.ts';
import { probe, type Feed } from './sink.ts';

/** How this browser hears the programme. */
export type Way =
  | { kind: 'pushed'; feed: Feed } // this page takes the stream apart and feeds it
  | { kind: 'files'; files: File[] } // the audio element asks for it by itself: the first of these that works
  | { kind: 'none' };

/** What is asked of a browser. */
export interface Browser {
  /** globalThis: MediaSource and ManagedMediaSource are looked for in it. */
  scope: object;
  /** navigator.vendor */
  vendor: string;
  canPlay: (type: string) => boolean;
}

const HLS = 'application/vnd.apple.mpegurl';
const OGG = 'audio/ogg; codecs="opus"';

/**
 * Chooses the way. The pushed stream is the best: closest to the stage, and it tells
 * all that happens. One exception no probe can find out: Safari (and so every browser
 * on an iPhone) says that it can be fed, but is at its best with its own HLS and AAC,
 * also in a pocket with the screen off; while Chromium, which also plays HLS, is not.
 */
export function chooseWay({ scope, vendor, canPlay }: Browser = thisBrowser()): Way {
  const feed = probe(scope);
  const hls = canPlay(HLS);
  if (feed && !(hls && vendor.startsWith('Apple'))) return { kind: 'pushed', feed };
  const files: File[] = [];
  // AAC is made only where the server can make it; Opus in HLS plays from iOS 17 on.
  if (hls) files.push({ ext: 'm3u8', codec: 'aac' }, { ext: 'm3u8' });
  if (canPlay(OGG)) files.push({ ext: 'ogg' });
  return files.length > 0 ? { kind: 'files', files } : { kind: 'none' };
}

function thisBrowser(): Browser {
  const audio = document.createElement('audio');
  return { scope: globalThis, vendor: navigator.vendor ?? '', canPlay: (type) => audio.canPlayType(type) !== '' };
}
