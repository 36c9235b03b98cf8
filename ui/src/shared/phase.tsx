import type { Phase } from './space.ts';

const LABELS: Record<Phase, string> = {
  scheduled: 'Scheduled',
  open: 'Doors open',
  live: 'Live',
  ended: 'Recording',
  cancelled: 'Cancelled',
};

/** Where a space stands, in a word; `stale` when that is only what was known last. */
export function PhasePill({ phase, stale = false }: { phase: Phase; stale?: boolean }) {
  return (
    <span class="pill" data-phase={stale ? undefined : phase} data-stale={stale || undefined} data-testid="phase">
      {stale ? `Last known: ${LABELS[phase].toLowerCase()}` : LABELS[phase]}
    </span>
  );
}
