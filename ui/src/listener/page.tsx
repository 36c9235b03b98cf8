import { useSignalEffect } from '@preact/signals';
import { Prose } from '../shared/prose.tsx';
import { PhasePill } from '../shared/phase.tsx';
import { Wordmark } from '../shared/wordmark.tsx';
import { Icon } from '../shared/icons.tsx';
import { count } from '../shared/time.ts';
import type { Listening } from './model.ts';
import { PlayerCard } from './player-card.tsx';
import { RecordingCard } from './recording-card.tsx';
import { Start } from './start.tsx';
import { Voices } from './voices.tsx';

type Props = { at: Listening };

/** Characters from which on a title is set smaller, so that the button stays in sight. */
const LONG = 70;

export function ListenerPage({ at }: Props) {
  useSignalEffect(() => {
    document.title = `${at.title.value} · Hustings`;
  });
  const phase = at.phase.value;
  const recording = at.recording.value;
  const description = at.space.value?.description;
  if (at.space.value === null) return <MissingPage />;
  return (
    <div class="page">
      <header class="top">
        <Wordmark />
      </header>
      <main class="event">
        <div class="event-head">
          <div class="row">
            <PhasePill phase={phase} stale={at.stale.value} />
            <Tally at={at} />
          </div>
          <h1 data-testid="title" dir="auto" data-long={at.title.value.length > LONG || undefined}>
            {at.title.value}
          </h1>
          <Start at={at} />
        </div>
        <div class="event-sound">{recording ? <RecordingCard rec={recording} /> : <PlayerCard at={at} />}</div>
        <Voices at={at} />
        <div class="event-about stack">
          {description && (
            <section class="stack">
              <h2>About this event</h2>
              <Prose text={description} />
            </section>
          )}
          <OtherPlayers at={at} />
        </div>
      </main>
    </div>
  );
}

function Tally({ at }: Props) {
  const tally = at.tally.value;
  const phase = at.phase.value;
  if (!tally || phase === 'scheduled' || phase === 'cancelled') return null;
  const over = phase === 'ended';
  if ((over ? tally.peak : tally.now) === 0) return null;
  const now = `${count(tally.now)} ${at.stale.value ? 'at last count' : 'listening'}`;
  return (
    <span class="tally soft" data-testid="tally">
      <Icon name="people" size={20} />
      {over ? `${count(tally.peak)} at its peak` : now}
    </span>
  );
}

/** The plain way to the sound, for other players and older browsers. */
function OtherPlayers({ at }: Props) {
  const phase = at.phase.value;
  if (phase === 'ended' || phase === 'cancelled') return null;
  return (
    <p class="small soft">
      You can also hear this in a player such as VLC:{' '}
      <a href={`/live/${at.id}.ogg`} data-testid="plain-link">
        plain audio link
      </a>
      {phase === 'scheduled' ? ', from the moment the doors open.' : '.'}
    </p>
  );
}

export function MissingPage() {
  return (
    <div class="page">
      <header class="top">
        <Wordmark />
      </header>
      <main class="stack lost" data-testid="missing">
        <h1>There is no event at this address</h1>
        <p class="soft">Check the link that you were given: a letter may be missing at its end.</p>
        <p>
          <a class="button" data-kind="main" href="/">
            See what is on
          </a>
        </p>
      </main>
    </div>
  );
}
