import { computed } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import { useFocusLeft } from '../shared/focus.ts';
import { Icon } from '../shared/icons.tsx';
import type { Room } from './model.ts';
import { seatWords } from './words.ts';

type Props = { room: Room };

/** Above this, someone is talking into a muted microphone. */
const TALKING = -35;

/** On stage or not, muted or not: always in reach, with words where something is wrong. */
export function Join({ room }: Props) {
  const { seat, socket } = room;
  if (room.over.value) return null;
  const state = seat.out.state.value;
  // Without a word from the stage nobody knows whether one is heard.
  const unsure = state === 'up' && !socket.connected.value ? 'shaky' : state;
  const say = seatWords(unsure, socket.dismissed.value, seat.out.problem.value);
  return (
    <section class={seat.joined.value ? 'card join join-docked' : 'card join'} aria-label="Your seat" data-testid="seat" data-state={socket.dismissed.value?.kind ?? unsure} data-muted={seat.muted.value}>
      {say && (
        <div class="note" data-kind="trouble" role="alert" data-testid="seat-trouble">
          <strong>{say.title}</strong>
          <span>{say.detail}</span>
        </div>
      )}
      {seat.joined.value && <Controls room={room} />}
      {!seat.joined.value && socket.dismissed.value?.kind !== 'removed' && <JoinButton room={room} />}
    </section>
  );
}

function JoinButton({ room }: Props) {
  const ready = room.mic.stream.value !== null;
  const button = useFocusLeft<HTMLButtonElement>();
  return (
    <div class="row spread">
      <div>
        <h2>
          <bdi>{room.me.name}</bdi>, you are not on stage
        </h2>
        <p class="soft small" id="join-hint">
          {ready ? 'The others hear you as soon as you join.' : 'Turn on your microphone below, then join.'}
        </p>
      </div>
      <button class="button" data-kind="main" type="button" data-testid="join" ref={button} disabled={!ready} aria-describedby="join-hint" onClick={() => room.seat.join()}>
        <Icon name="mic" />
        Join the stage
      </button>
    </div>
  );
}

function Controls({ room }: Props) {
  const { seat } = room;
  const muted = seat.muted.value;
  const button = useFocusLeft<HTMLButtonElement>();
  return (
    <>
      <div class="row spread">
        <div role="status">
          <h2>{heading(room)}</h2>
          <Hint room={room} />
        </div>
        <div class="row">
          <button
            class="button"
            data-kind={muted ? 'main' : undefined}
            type="button"
            data-testid="mute"
            data-muted={muted}
            ref={button}
            onClick={() => seat.mute(!muted)}
          >
            <Icon name={muted ? 'micOff' : 'mic'} />
            {muted ? 'Unmute' : 'Mute'}
          </button>
          <button class="button" type="button" data-testid="leave" onClick={() => seat.leave()}>
            <Icon name="leave" />
            Leave
          </button>
        </div>
      </div>
      {seat.unheard.value && (
        <p class="note" data-kind="trouble" role="alert">
          The stage can’t be reached right now, so you stay muted. Try again in a moment.
        </p>
      )}
      {seat.in.state.value === 'lost' && (
        <p class="note" data-kind="trouble" role="alert">
          You can’t hear the others right now. It is tried again by itself.
        </p>
      )}
    </>
  );
}

function heading({ seat, phase }: Room): string {
  if (!seat.on.value) return seat.out.state.value === 'connecting' ? 'Joining the stage' : 'Not connected';
  if (seat.muted.value) return seat.mutedByHost.value ? 'The host muted you' : 'You are muted';
  return phase.value === 'live' ? 'You are on air' : 'You are on stage';
}

function Hint({ room }: Props) {
  const { seat, mic } = room;
  // Only when it changes: the level itself moves many times a second.
  const talking = useMemo(() => computed(() => mic.level.value > TALKING), [mic]);
  let words = room.phase.value === 'live' ? 'Everyone hears you.' : 'The others on stage hear you, the audience does not.';
  if (!seat.on.value) words = 'One moment.';
  else if (seat.muted.value) words = talking.value ? 'You are talking, but nobody hears you.' : 'Unmute when you want to speak.';
  return (
    <p class="soft small" data-testid="seat-hint">
      {words}
    </p>
  );
}
