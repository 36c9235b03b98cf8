import { countdown, countdownWords, day, timeOfDay, when } from '../shared/time.ts';
import type { Listening } from './model.ts';

type Props = { at: Listening };

/** When it begins, began or was. */
export function Start({ at }: Props) {
  const phase = at.phase.value;
  const space = at.space.value;
  const starts = at.startsAt.value;
  if (phase === 'scheduled' || (phase === 'open' && starts)) return <ToCome at={at} starts={starts} />;
  if (phase === 'cancelled') return starts ? <p class="soft" data-testid="when">It was announced for {when(starts)}.</p> : null;
  if (phase === 'ended' && space?.ended_at) {
    return <p class="soft" data-testid="when">Held on {day(space.started_at ?? space.ended_at)}</p>;
  }
  return space?.started_at ? <p class="soft" data-testid="when">{at.stale.value ? 'It went on air at' : 'On air since'} {timeOfDay(space.started_at)}</p> : null;
}

function ToCome({ at, starts }: Props & { starts: string | null }) {
  const from = at.movedFrom.value;
  const moved = Boolean(at.space.value?.rescheduled || from);
  if (!starts) {
    return <p class="soft" data-testid="when">The time is not announced yet. This page tells you when it is.</p>;
  }
  return (
    <div class="stack">
      <p data-testid="when">
        {when(starts)}
        <span class="soft small block">Shown in your time zone</span>
      </p>
      {moved && (
        <p class="note" data-kind="hold" data-testid="rescheduled">
          <span>
            <strong>The start was moved.</strong>{' '}
            {from ? (
              <>
                It was <s>{when(from)}</s>, and is now {when(starts)}.
              </>
            ) : (
              <>The time above is the new one.</>
            )}
          </span>
        </p>
      )}
      <Remaining at={at} />
    </div>
  );
}

/** The countdown: ticks for the eyes, and is read out as a sentence when asked. */
function Remaining({ at }: Props) {
  const parts = countdown(at.startsIn.value ?? 0);
  if (!parts) return null;
  const cells: [number, string][] = [
    [parts.days, parts.days === 1 ? 'day' : 'days'],
    [parts.hours, parts.hours === 1 ? 'hour' : 'hours'],
    [parts.minutes, 'min'],
    [parts.seconds, 'sec'],
  ];
  return (
    <div class="countdown" role="timer" aria-live="off" aria-label={`Starts in ${countdownWords(parts)}`} data-testid="countdown">
      {cells
        .filter((_cell, i) => i > 1 || cells.slice(0, i + 1).some(([n]) => n > 0))
        .map(([n, unit]) => (
          <span class="countdown-cell" key={unit} aria-hidden="true">
            <b>{String(n).padStart(2, '0')}</b>
            <span>{unit}</span>
          </span>
        ))}
    </div>
  );
}
