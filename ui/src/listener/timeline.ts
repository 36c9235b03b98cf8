import { mergePatch } from '../live/patch.ts';
import type { Pulse } from '../shared/space.ts';

/** A change of the pulse in a recording: a JSON merge patch, or all of it. `start` in seconds. */
export interface Moment {
  start: number;
  whole?: boolean;
  pulse: unknown;
}

/** The pulse as it was at each change, in order of time. */
export function unroll(moments: Moment[]): { start: number; pulse: Partial<Pulse> }[] {
  let pulse: unknown = {};
  return moments.map((moment) => {
    pulse = mergePatch(moment.whole ? null : pulse, moment.pulse);
    return { start: moment.start, pulse: pulse as Partial<Pulse> };
  });
}
