import { day } from '../shared/time.ts';
import { sentence } from '../shared/api.ts';
import type { Say } from './words.ts';

/** What the last rehearsal has shown this deployment to carry. */
export interface Capacity {
  /** 0 before the first. */
  listeners: number;
  rehearsed_at: string | null;
  /** What was rehearsed is not what serves now. */
  stale: boolean;
  why: string;
}

/** Which forms of the sound can be had here. */
export interface Renditions {
  aac: { available: boolean; reason: string };
}

/** A Say with how much it matters. */
export interface Point extends Say {
  kind: 'good' | 'hold' | 'plain';
}

/** How many the deployment carries, as far as anybody has seen. */
export function capacityWords(capacity: Capacity): Point {
  const { listeners, rehearsed_at: at, stale, why } = capacity;
  if (listeners === 0 || !at) {
    return {
      kind: 'plain',
      title: 'Not rehearsed yet',
      detail: 'A rehearsal plays a crowd of simulated listeners against this server and shows how many it carries. They are not counted, and nobody hears them.',
    };
  }
  const carried = `In the rehearsal on ${day(at)}, ${listeners.toLocaleString()} ${listeners === 1 ? 'listener' : 'listeners'} heard everything without a gap.`;
  if (!stale) return { kind: 'good', title: `Rehearsed for ${listeners.toLocaleString()} listeners`, detail: carried };
  const since = why ? ` Since then: ${why.replace(/[.\s]+$/, '')}.` : ' The server has changed since then.';
  return { kind: 'hold', title: 'The last rehearsal is out of date', detail: `${carried}${since} Rehearse again to be sure.` };
}

/** Whether iPhones hear it at their best. */
export function iphoneWords({ aac }: Renditions): Point {
  if (aac.available) return { kind: 'good', title: 'Ready for iPhones', detail: 'They get the sound as AAC, which plays on with the screen off.' };
  const reason = aac.reason ? ` ${sentence(aac.reason)}` : '';
  return { kind: 'hold', title: 'Older iPhones may not hear this', detail: `The sound is not offered as AAC here; newer iPhones get Opus.${reason}` };
}

/** The command that rehearses: as many as came through last time, or a first thousand. */
export function rehearseCommand(link: string, capacity: Capacity | null): string {
  return `hustings rehearse ${link} --listeners ${capacity?.listeners || 1000}`;
}
