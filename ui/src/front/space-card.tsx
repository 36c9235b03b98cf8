import { PhasePill } from '../shared/phase.tsx';
import type { Space } from '../shared/space.ts';
import { count, day, timeOfDay, when } from '../shared/time.ts';

/** One event on the front page. */
export function SpaceCard({ space, owner }: { space: Space; owner: boolean }) {
  const path = encodeURIComponent(space.id);
  const over = space.phase === 'ended' || space.phase === 'cancelled';
  return (
    <article class="card space-card" data-phase={space.phase} data-testid="space-card">
      <div class="row spread">
        <PhasePill phase={space.phase} />
        {space.tally && space.tally.now > 0 && !over && <span class="soft small">{count(space.tally.now)} listening</span>}
      </div>
      <h3 class="space-title" dir="auto">
        <a href={`/s/${path}`}>{space.title}</a>
      </h3>
      <p class="soft small">{whenOf(space)}</p>
      {owner && !over && (
        <a class="button space-studio" href={`/studio/${path}`} data-testid="studio-link" aria-label={`Studio of ${space.title}`}>
          Studio
        </a>
      )}
    </article>
  );
}

function whenOf(space: Space): string {
  switch (space.phase) {
    case 'scheduled':
      if (!space.starts_at) return 'The time is not announced yet';
      if (Date.parse(space.starts_at) < Date.now()) return `Any moment now; announced for ${timeOfDay(space.starts_at)}`;
      return space.rescheduled ? `${when(space.starts_at)} (moved)` : when(space.starts_at);
    case 'open':
      return space.starts_at ? `Begins at ${timeOfDay(space.starts_at)}` : 'Begins in a moment';
    case 'live':
      return space.started_at ? `On air since ${timeOfDay(space.started_at)}` : 'On air';
    case 'ended':
      return space.ended_at ? `Held on ${day(space.ended_at)}` : 'Over';
    case 'cancelled':
      return 'Will not take place';
  }
}
