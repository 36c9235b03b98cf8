import type { PlayerState } from '../live/player.ts';
import type { Phase } from '../shared/space.ts';
import { clockWords } from '../shared/time.ts';

/** All that decides which words the page shows. */
export interface Situation {
  phase: Phase;
  player: PlayerState;
  /** Milliseconds to the announced start; null if none was announced. */
  startsIn: number | null;
  /** The server's own words for why nothing can be heard. */
  notice: string;
  /** When the connection was lost, as a time of day; null while there is one. */
  lostSince: string | null;
  /** Was there sound before the connection was lost? */
  heard: boolean;
  /** The server does not answer a page that has no stream; what it shows may be old. */
  unreached: boolean;
  /** Seconds that the sound is behind the stage; null when that is not known. */
  behind: number | null;
  /** Has someone been heard in the last moments? */
  speaking: boolean;
}

/** What the page says, and what its button does; no button where there is nothing to press. */
export interface Words {
  headline: string;
  detail: string;
  button: { label: string; does: 'listen' | 'stop' } | null;
}

const LISTEN = { label: 'Listen', does: 'listen' } as const;
const STOP = { label: 'Stop', does: 'stop' } as const;
const STOP_WAITING = { label: 'Stop waiting', does: 'stop' } as const;

/** The words for a situation: what is so, and what comes next. */
export function wordsFor(now: Situation): Words {
  if (now.phase === 'cancelled') {
    return { headline: 'This event was cancelled', detail: 'It will not take place. The front page shows what comes next.', button: null };
  }
  if (now.phase === 'ended') {
    return { headline: 'This event has ended', detail: 'The recording is here to hear in full.', button: null };
  }
  return trouble(now) ?? (now.phase === 'scheduled' ? beforeDoors(now) : onAir(now));
}

/** What stands in the way of hearing, whatever the phase. */
function trouble(now: Situation): Words | null {
  switch (now.player) {
    case 'failed':
      return {
        headline: 'This browser can’t play the stream',
        detail: 'Update it or try another one. The audio link below also opens in players such as VLC.',
        button: { label: 'Try again', does: 'listen' },
      };
    case 'blocked':
      return {
        headline: 'Your browser held the sound back',
        detail: 'Press the button once more to hear it.',
        button: { label: 'Turn the sound on', does: 'listen' },
      };
    case 'idle':
    case 'waiting':
      return now.unreached ? unreached(now) : null;
    case 'lost':
      return now.heard ? cutOff(now) : notYet;
    case 'held':
      return held;
    default:
      return null;
  }
}

const notYet: Words = {
  headline: 'No connection yet',
  detail: 'The sound can’t be reached right now. This page tries again by itself. If it takes long, check your internet connection.',
  button: STOP,
};

const cutOff = (now: Situation): Words => ({
  headline: 'Connection lost',
  detail: `No sound since ${now.lostSince ?? 'a moment ago'}. This page reconnects by itself. If it takes long, check your internet connection.`,
  button: STOP,
});

const held: Words = {
  headline: 'Waiting for the stage',
  detail: 'This server has lost its line to the stage; you are still connected. Music plays meanwhile, and the sound goes on by itself with what you missed.',
  button: STOP,
};

/** Pressed or not, that stays so; the page comes back by itself. */
function unreached(now: Situation): Words {
  const usual = now.phase === 'scheduled' ? beforeDoors(now) : onAir(now);
  return {
    headline: 'No connection',
    detail: 'The server can’t be reached right now, so what is shown here may be old. This page tries again by itself.',
    button: usual.button,
  };
}

function beforeDoors(now: Situation): Words {
  const late = now.startsIn !== null && now.startsIn <= 0;
  if (now.player === 'idle') {
    return {
      headline: late ? 'Any moment now' : 'Not open yet',
      detail: late
        ? 'The announced time has come, and the hosts are getting ready. Press the button and the sound begins by itself.'
        : 'Press the button now and keep this page open: the sound begins by itself.',
      button: { label: 'Listen when it begins', does: 'listen' },
    };
  }
  return {
    headline: late ? 'Any moment now' : 'You’re all set',
    detail: late
      ? 'The hosts are getting ready. Keep this page open: the sound begins by itself.'
      : 'Keep this page open and your volume up: it begins by itself.',
    button: STOP_WAITING,
  };
}

function onAir(now: Situation): Words {
  const open = now.phase === 'open';
  switch (now.player) {
    case 'playing':
      return { ...heard(now), button: STOP };
    case 'idle':
    case 'over':
      return {
        headline: open ? 'Doors are open' : 'Live now',
        detail: open ? 'Hold music plays until the hosts go live.' : 'Press the button to hear it.',
        button: LISTEN,
      };
    case 'buffering':
      return { headline: 'One moment', detail: 'Catching up with the live sound.', button: STOP };
    default:
      return { headline: 'Connecting', detail: 'The sound comes in a moment.', button: STOP };
  }
}

function heard(now: Situation): Pick<Words, 'headline' | 'detail'> {
  if (now.phase === 'open') {
    return {
      headline: 'You’re in early',
      detail: now.notice || 'This is hold music. Stay here: the conversation begins by itself.',
    };
  }
  if (now.notice) return { headline: 'A short pause', detail: now.notice };
  return {
    headline: 'You’re listening live',
    detail: now.speaking ? `The sound is ${behindWords(now.behind)} behind the stage.` : 'It is quiet on stage right now. Nothing is wrong on your side.',
  };
}

/** How far behind, no finer than it can be told without changing all the time. */
function behindWords(seconds: number | null): string {
  if (seconds === null) return 'a little';
  if (seconds < 3) return 'a second or two';
  return seconds < 7 ? 'a few seconds' : `about ${Math.round(seconds / 5) * 5} seconds`;
}

/** How long a recording is, and what of it comes before the event itself; both in seconds. */
export function lengthWords(length: number, beginning: number): string {
  const whole = length < 60 ? 'The whole event, less than a minute long.' : `The whole event, ${roughly(length)} long.`;
  return beginning < 5 ? whole : `${whole} It starts where the event went live.`;
}

/** A length to the minute. */
function roughly(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  return clockWords(minutes * 60);
}
