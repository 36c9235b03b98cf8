import { sentence, type Problem } from '../shared/api.ts';
import { timeOfDay } from '../shared/time.ts';
import type { Phase } from '../shared/space.ts';
import type { KeptState } from './keep.ts';
import type { MicTrouble } from './mic.ts';
import type { Dismissal } from './socket.ts';

/** A heading, what it means, and how grave it is. */
export interface Say {
  title: string;
  detail: string;
}

/** What the audience hears now, unmistakably. */
export function audienceHears(phase: Phase, startsAt: string | null): Say {
  switch (phase) {
    case 'scheduled':
      return {
        title: 'The audience hears nothing yet',
        detail: startsAt
          ? `The doors are closed. It is announced for ${timeOfDay(startsAt)}.`
          : 'The doors are closed. Nothing that is said here is heard outside.',
      };
    case 'open':
      return { title: 'The audience hears hold music', detail: 'What is said on stage stays on stage until you start.' };
    case 'live':
      return { title: 'On air', detail: 'The audience hears everything that is said on this stage.' };
    case 'ended':
      return { title: 'Off air', detail: 'The event has ended, and its recording is up.' };
    case 'cancelled':
      return { title: 'Cancelled', detail: 'This event will not take place. Listeners are told so on their page.' };
  }
}

/** What is in the way of the microphone, and the next step. */
export function micWords(trouble: MicTrouble): Say {
  switch (trouble) {
    case 'insecure':
      return { title: 'The microphone needs a secure page', detail: 'Browsers give a microphone to HTTPS pages only. Open the studio by its https:// address.' };
    case 'refused':
      return { title: 'The browser keeps the microphone to itself', detail: 'Allow it by the symbol at the left of the address bar, then try again.' };
    case 'none':
      return { title: 'No microphone was found', detail: 'Plug one in or turn it on, then try again.' };
    case 'busy':
      return { title: 'The microphone is in use', detail: 'Another program holds it. Close that program, then try again.' };
    case 'unplugged':
      return { title: 'The microphone is gone', detail: 'It was unplugged or turned off, and nobody hears you. Plug it in again or choose another one.' };
    case 'paused':
      return { title: 'The microphone is paused', detail: 'A call or another program holds it, or it is switched off in the system, and nobody hears you. It goes on by itself after that.' };
    case 'other':
      return { title: 'The microphone did not start', detail: 'Try again, or choose another one.' };
  }
}

/** Where one stands on stage, where that needs words; null while all is well or one is not on stage. */
export function seatWords(state: KeptState, dismissal: Dismissal | null, problem: Problem | null): Say | null {
  if (dismissal) {
    const replaced = dismissal.kind === 'replaced';
    return {
      title: replaced ? 'You are on stage in another page' : 'You were taken off the stage',
      detail: `${sentence(dismissal.detail)} ${replaced ? 'Join here to take your seat back.' : 'Ask the host for a new invitation if that was a mistake.'}`,
    };
  }
  switch (state) {
    case 'shaky':
      return { title: 'Your connection is shaky', detail: 'The others may not hear you. It is being repaired by itself.' };
    case 'lost':
      return {
        title: 'Connection lost',
        detail: `Nobody hears you now. It is tried again by itself. ${problem && problem.status !== 0 ? sentence(problem.detail) : 'If it takes long, check your network.'}`,
      };
    case 'refused':
      return { title: 'The stage did not let you in', detail: problem ? sentence(problem.detail) : 'Try again in a moment.' };
    default:
      return null;
  }
}
