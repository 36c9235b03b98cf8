import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { wordsOf } from '../shared/api.ts';
import type { Space } from '../shared/space.ts';
import { fromLocalInput } from '../shared/time.ts';
import type { Programme } from './model.ts';

/** The owner's way to a new space: a button, a form, and after it the next step. */
export function Announce({ at }: { at: Programme }) {
  const open = useSignal(false);
  const made = useSignal<Space | null>(null);
  if (open.value) {
    const close = (space: Space | null) => {
      made.value = space;
      open.value = false;
    };
    return <AnnounceForm at={at} close={close} />;
  }
  return (
    <div class="stack">
      {made.value && <Made space={made.value} />}
      <div>
        <button class="button" data-kind="main" type="button" data-testid="announce" onClick={() => (open.value = true)}>
          Announce a space
        </button>
      </div>
    </div>
  );
}

function AnnounceForm({ at, close }: { at: Programme; close: (made: Space | null) => void }) {
  const busy = useSignal(false);
  const refusal = useSignal<string | null>(null);
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => first.current?.focus(), []);

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const data = new FormData(event.target as HTMLFormElement);
    const starts = fromLocalInput(String(data.get('starts')));
    busy.value = true;
    refusal.value = null;
    try {
      const draft = { title: String(data.get('title')), description: String(data.get('description')) };
      close(await at.announce(starts ? { ...draft, starts_at: starts } : draft));
    } catch (error) {
      refusal.value = wordsOf(error);
      busy.value = false;
    }
  }

  return (
    <form class="card announce" onSubmit={(event) => void submit(event)} data-testid="announce-form">
      <h2>Announce a space</h2>
      <div class="field">
        <label for="title">Title</label>
        <input class="input" id="title" name="title" required maxLength={200} autoComplete="off" data-testid="announce-title" ref={first} />
      </div>
      <div class="field">
        <label for="description">Description (optional)</label>
        <textarea class="input" id="description" name="description" maxLength={5000} data-testid="announce-description" />
      </div>
      <div class="field">
        <label for="starts">Start, in your local time (optional)</label>
        <input class="input" id="starts" name="starts" type="datetime-local" data-testid="announce-starts" />
      </div>
      {refusal.value && (
        <p class="note" data-kind="trouble" role="alert">
          {refusal.value}
        </p>
      )}
      <div class="row">
        <button class="button" data-kind="main" type="submit" disabled={busy.value} data-testid="announce-submit">
          {busy.value ? 'Announcing' : 'Announce'}
        </button>
        <button class="button" data-kind="quiet" type="button" onClick={() => close(null)}>
          Not now
        </button>
      </div>
    </form>
  );
}

function Made({ space }: { space: Space }) {
  const path = encodeURIComponent(space.id);
  return (
    <div class="note" data-kind="good" role="status" data-testid="announced">
      <strong>
        <bdi>{space.title}</bdi> is announced
      </strong>
      <span>
        Share <a href={`/s/${path}`}>the listeners’ page</a>, and prepare in <a href={`/studio/${path}`}>the studio</a>.
      </span>
    </div>
  );
}
