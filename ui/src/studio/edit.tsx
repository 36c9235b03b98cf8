import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { wordsOf } from '../shared/api.ts';
import { fromLocalInput, toLocalInput } from '../shared/time.ts';
import type { Room } from './model.ts';

/** Renames and reschedules; listeners' pages follow by themselves. */
export function Edit({ room, close }: { room: Room; close: () => void }) {
  const busy = useSignal(false);
  const refusal = useSignal<string | null>(null);
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => first.current?.focus(), []);
  const phase = room.phase.value;
  const starts = room.startsAt.value;
  const movable = phase === 'scheduled' || phase === 'open';

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const data = new FormData(event.target as HTMLFormElement);
    const moved = fromLocalInput(String(data.get('starts') ?? ''));
    busy.value = true;
    refusal.value = null;
    try {
      await room.edit({
        title: String(data.get('title')),
        description: String(data.get('description')),
        ...(movable && moved && { starts_at: moved }),
      });
      close();
    } catch (error) {
      refusal.value = wordsOf(error);
      busy.value = false;
    }
  }

  return (
    <form class="stack" onSubmit={(event) => void submit(event)} data-testid="edit-form">
      <div class="field">
        <label for="edit-title">Title</label>
        <input class="input" id="edit-title" name="title" required maxLength={200} defaultValue={room.title.value} data-testid="edit-title" ref={first} />
      </div>
      <div class="field">
        <label for="edit-description">Description</label>
        <textarea class="input" id="edit-description" name="description" maxLength={5000} defaultValue={room.space.value.description ?? ''} data-testid="edit-description" />
      </div>
      {movable && (
        <div class="field">
          <label for="edit-starts">Start, in your local time</label>
          <input class="input" id="edit-starts" name="starts" type="datetime-local" defaultValue={starts ? toLocalInput(new Date(starts)) : ''} data-testid="edit-starts" />
        </div>
      )}
      {refusal.value && (
        <p class="note" data-kind="trouble" role="alert">
          {refusal.value}
        </p>
      )}
      <div class="row">
        <button class="button" data-kind="main" type="submit" disabled={busy.value} data-testid="edit-save">
          Save
        </button>
        <button class="button" data-kind="quiet" type="button" onClick={close}>
          Leave it
        </button>
      </div>
    </form>
  );
}
