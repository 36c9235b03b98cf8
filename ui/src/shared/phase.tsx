import type { Phase } from './space.ts';

const LABELS: Record<Phase, string> = {
  scheduled: 'Scheduled',
  open: 'Doors open',
  live: 'Live',
  ended: 'Recording',
  cancelled: 'Cancelled',
};

/** Where a space stands, in a word. */
export function PhasePill({ phase }: { phase: Phase }) {
  return (
    <span class="pill" data-phase={phase} data-testid="phase">
      {LABELS[phase]}
    </span>
  );
}
