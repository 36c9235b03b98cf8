import { computed } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import { Icon } from '../shared/icons.tsx';
import { Face } from '../shared/person.tsx';
import { inOrder, roleName, type Seat } from '../shared/space.ts';
import { Meter } from './meter.tsx';
import type { Room } from './model.ts';

type Props = { room: Room };

/** Who is on stage, how loud, and for hosts: mute and remove. */
export function OnStage({ room }: Props) {
  const stage = room.socket.state.value;
  const seats = inOrder(stage?.seats ?? []);
  return (
    <section class="card" aria-label="On stage" data-testid="on-stage">
      <h2>On stage</h2>
      {room.socket.refusal.value && (
        <p class="note" data-kind="trouble" role="alert">
          {room.socket.refusal.value}
        </p>
      )}
      {seats.length === 0 ? (
        <p class="soft">Nobody is here yet.</p>
      ) : (
        <ul class="seats" data-moderated={room.moderates.value}>
          {seats.map((seat) => (
            <SeatLine key={seat.id} room={room} seat={seat} own={seat.id === stage?.you} speaking={stage?.speaking?.includes(seat.id) ?? false} />
          ))}
        </ul>
      )}
    </section>
  );
}

function SeatLine({ room, seat, own, speaking }: Props & { seat: Seat; own: boolean; speaking: boolean }) {
  const level = useMemo(() => computed(() => room.socket.levels.value[seat.id] ?? -100), [room, seat.id]);
  return (
    <li class="seat" data-testid="seat-line" data-seat={seat.id} data-speaking={speaking} data-connected={seat.connected} data-muted={seat.muted}>
      <Face name={seat.name} />
      <span class="seat-name">
        <b>
          <bdi>{seat.name}</bdi>
          {own && ' (you)'}
        </b>
        <span class="soft small">
          {roleName(seat.role)}
          {status(seat)}
        </span>
      </span>
      <Meter level={level} label={`Level of ${seat.name}`} testid="seat-level" />
      {room.moderates.value && !own && <Moderation room={room} seat={seat} />}
    </li>
  );
}

function status(seat: Seat): string {
  if (!seat.connected) return ' · no connection';
  return seat.muted ? ' · muted' : '';
}

/** A host mutes others, but each unmutes only oneself. */
function Moderation({ room, seat }: Props & { seat: Seat }) {
  return (
    <span class="row seat-acts">
      <button
        class="button round-s"
        data-kind="quiet"
        type="button"
        data-testid="mute-seat"
        disabled={seat.muted}
        aria-label={`Mute ${seat.name}`}
        title="Mute"
        onClick={() => room.socket.send({ type: 'mute_seat', seat: seat.id })}
      >
        <Icon name={seat.muted ? 'micOff' : 'mic'} size={20} />
      </button>
      <button
        class="button round-s"
        data-kind="quiet"
        type="button"
        data-testid="remove-seat"
        aria-label={`Take ${seat.name} off the stage`}
        title="Take off the stage"
        onClick={() => room.socket.send({ type: 'remove', seat: seat.id })}
      >
        <Icon name="leave" size={20} />
      </button>
    </span>
  );
}
