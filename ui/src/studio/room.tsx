import { useSignalEffect } from '@preact/signals';
import { PhasePill } from '../shared/phase.tsx';
import { clock, count, when } from '../shared/time.ts';
import { CopyButton } from './copy.tsx';
import { Crowd } from './crowd.tsx';
import { Invites } from './invites.tsx';
import { Join } from './join.tsx';
import type { Room } from './model.ts';
import { MicCard } from './mic-card.tsx';
import { OnStage } from './on-stage.tsx';
import { Run } from './run.tsx';
import { audienceHears } from './words.ts';

type Props = { room: Room };

export function RoomView({ room }: Props) {
  useSignalEffect(() => {
    const air = room.phase.value === 'live' ? 'On air: ' : '';
    document.title = `${air}${room.title.value} · Studio`;
  });
  const phase = room.phase.value;
  const over = room.over.value;
  return (
    <main class="room">
      <div class="room-head">
        <div class="row">
          <PhasePill phase={phase} />
          <Figures room={room} />
        </div>
        <h1 class="room-title" data-testid="title" dir="auto">{room.title.value}</h1>
        {phase === 'scheduled' && <p class="soft">{room.startsAt.value ? when(room.startsAt.value) : 'The time is not announced yet'}</p>}
      </div>
      <OnAir room={room} />
      <div class="room-main">
        <Join room={room} />
        {!over && <Cards room={room} />}
      </div>
      <div class="room-side">
        {room.moderates.value && <Run room={room} />}
        {room.moderates.value && !over && <Invites room={room} />}
        <Share room={room} />
        {room.moderates.value && !over && <Crowd link={listenersLink(room)} />}
      </div>
    </main>
  );
}

/** First the microphone, until one is on stage; then the others on stage. */
function Cards({ room }: Props) {
  const cards = [<MicCard key="mic" room={room} />, <OnStage key="stage" room={room} />];
  return <>{room.seat.joined.value ? cards.reverse() : cards}</>;
}

function Figures({ room }: Props) {
  const elapsed = room.elapsed.value;
  const tally = room.tally.value;
  return (
    <>
      {elapsed !== null && (
        <span class="figure" data-testid="elapsed">
          {clock(elapsed)}
        </span>
      )}
      {tally && (room.phase.value === 'open' || room.phase.value === 'live') && (
        <span class="soft" data-testid="tally">
          {count(tally.now)} listening
        </span>
      )}
    </>
  );
}

/** What the audience hears now: the one thing that nobody on stage may be unsure of. */
function OnAir({ room }: Props) {
  const phase = room.phase.value;
  const { title, detail } = audienceHears(phase, room.startsAt.value);
  return (
    <section class="on-air" data-phase={phase} data-testid="audience-hears" role="status" aria-label="What the audience hears">
      <strong>{title}</strong>
      <span>{detail}</span>
      {!room.over.value && !room.socket.connected.value && !room.socket.dismissed.value && (
        <span class="on-air-stale">No word from the stage right now: what you see may be old. It is tried again by itself.</span>
      )}
    </section>
  );
}

const listenersLink = (room: Room): string => `${location.origin}/s/${encodeURIComponent(room.space.value.id)}`;

function Share({ room }: Props) {
  const link = listenersLink(room);
  return (
    <section class="card" aria-label="For the audience">
      <h2>For the audience</h2>
      <p class="soft small">Anyone with this link can listen, before, during and after.</p>
      <a class="link-line" href={link} target="_blank" rel="noopener" data-testid="listener-link">
        {link.replace(/^https?:\/\//, '')}
      </a>
      <div>
        <CopyButton text={link} label="Copy the listeners’ link" testid="copy-listener-link" />
      </div>
    </section>
  );
}
