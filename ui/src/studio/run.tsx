import { useSignal, type Signal } from '@preact/signals';
import { Problem, sentence, wordsOf } from '../shared/api.ts';
import { Confirm } from './confirm.tsx';
import { Edit } from './edit.tsx';
import type { Room } from './model.ts';

type Props = { room: Room };
type Step = 'open' | 'start' | 'end' | 'cancel';

interface Act {
  busy: Signal<boolean>;
  refusal: Signal<string | null>;
  points: Signal<string[] | null>;
  go: (step: Step, anyway?: boolean) => Promise<void>;
}

function useAct(room: Room): Act {
  const busy = useSignal(false);
  const refusal = useSignal<string | null>(null);
  const points = useSignal<string[] | null>(null);
  async function go(step: Step, anyway = false): Promise<void> {
    busy.value = true;
    refusal.value = null;
    points.value = null;
    try {
      await room.go(step, anyway);
    } catch (error) {
      if (step === 'start' && error instanceof Problem && error.points.length > 0) points.value = error.points;
      else refusal.value = wordsOf(error);
    } finally {
      busy.value = false;
    }
  }
  return { busy, refusal, points, go };
}

/** For hosts: always the one next step first, then what can be changed. */
export function Run({ room }: Props) {
  const act = useAct(room);
  const editing = useSignal(false);
  const phase = room.phase.value;
  const host = room.me.role === 'host';
  return (
    <section class="card" aria-label="Run the event" data-testid="run">
      <h2>Run the event</h2>
      <NextStep room={room} act={act} />
      {act.points.value && <Checklist act={act} />}
      {act.refusal.value && (
        <p class="note" data-kind="trouble" role="alert" data-testid="run-refusal">
          {act.refusal.value}
        </p>
      )}
      {editing.value && <Edit room={room} close={() => (editing.value = false)} />}
      {!editing.value && (
        <div class="row">
          {phase !== 'cancelled' && (
            <button class="button" type="button" data-testid="edit" onClick={() => (editing.value = true)}>
              {phase === 'scheduled' || phase === 'open' ? 'Rename or reschedule' : 'Rename'}
            </button>
          )}
          {host && (phase === 'scheduled' || phase === 'open') && (
            <Confirm
              label="Cancel the event"
              title="Cancel this event?"
              detail="It will not take place, and this can’t be undone. Listeners are told so on their page."
              yes="Cancel the event"
              no="Keep it"
              testid="cancel"
              act={() => act.go('cancel')}
            />
          )}
        </div>
      )}
    </section>
  );
}

function NextStep({ room, act }: Props & { act: Act }) {
  const busy = act.busy.value;
  switch (room.phase.value) {
    case 'scheduled':
      return (
        <>
          <p class="soft small">Opening the doors lets listeners in. They hear hold music while the stage gets ready.</p>
          <button class="button" data-kind="main" type="button" disabled={busy} data-testid="open" onClick={() => void act.go('open')}>
            Open the doors
          </button>
        </>
      );
    case 'open':
      return (
        <>
          <p class="soft small">Starting puts the stage on air: the music fades, and the audience hears you.</p>
          <button class="button" data-kind="live" type="button" disabled={busy} data-testid="start" onClick={() => void act.go('start')}>
            Start: go on air
          </button>
        </>
      );
    case 'live':
      return room.me.role === 'host' ? (
        <>
          <p class="soft small">Ending takes the stage off air for good. The recording is up a second later.</p>
          <Confirm
            label="End the event"
            title="End the event for everyone?"
            detail="The stage goes off air, and this can’t be undone. The recording takes the place of the live sound."
            yes="End it now"
            no="Stay on air"
            testid="end"
            act={() => act.go('end')}
          />
        </>
      ) : (
        <p class="soft small">A host ends the event.</p>
      );
    case 'ended':
      return (
        <>
          <p class="soft small">The event has ended. Its recording is on the listeners’ page.</p>
          <a class="button" data-kind="main" href={`/s/${encodeURIComponent(room.space.value.id)}`} data-testid="to-recording">
            Hear the recording
          </a>
        </>
      );
    case 'cancelled':
      return (
        <>
          <p class="soft small">The event was cancelled. Announce a new one when you are ready.</p>
          <a class="button" href="/">
            To the front page
          </a>
        </>
      );
  }
}

/** The server refused to start: what is open, and a way around it. */
function Checklist({ act }: { act: Act }) {
  return (
    <div class="note" data-kind="hold" role="alert" data-testid="checklist">
      <strong>Before you start</strong>
      <ul class="points">
        {act.points.value?.map((point) => (
          <li key={point}>{sentence(point)}</li>
        ))}
      </ul>
      <button class="button" type="button" data-testid="start-anyway" onClick={() => void act.go('start', true)}>
        Start anyway
      </button>
    </div>
  );
}
