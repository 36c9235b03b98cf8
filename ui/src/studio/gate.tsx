import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { wordsOf } from '../shared/api.ts';
import type { Entry, Studio } from './model.ts';

const NAME = 'hustings.name';

/** What those see who are not in the studio yet, or can't be. */
export function Gate({ at, entry }: { at: Studio; entry: Exclude<Entry, { kind: 'in' }> }) {
  switch (entry.kind) {
    case 'loading':
      return (
        <main>
          <p class="soft" role="status">
            Opening the studio.
          </p>
        </main>
      );
    case 'owner':
      return <OwnerGate at={at} />;
    case 'stranger':
      return (
        <Notice title="The studio opens with an invitation" testid="gate-stranger">
          <p class="soft">Open the link that the host sent you. If this is your own server, sign in with the link that it printed when it started.</p>
          <a class="button" href={`/s/${encodeURIComponent(at.id)}`}>
            Listen instead
          </a>
        </Notice>
      );
    case 'missing':
      return (
        <Notice title="There is no event at this address" testid="missing">
          <p class="soft">Check the link that you were given: a letter may be missing at its end.</p>
          <a class="button" href="/">
            See what is on
          </a>
        </Notice>
      );
    case 'expired':
      return (
        <Notice title="This invitation does not hold" testid="gate-expired">
          <p class="soft">{entry.detail}</p>
          <a class="button" href={`/s/${encodeURIComponent(at.id)}`}>
            Listen instead
          </a>
        </Notice>
      );
    case 'trouble':
      return (
        <Notice title="The studio could not be opened" testid="gate-trouble">
          <p class="soft">{entry.detail}</p>
          <button class="button" data-kind="main" type="button" onClick={() => void at.enter()}>
            Try again
          </button>
        </Notice>
      );
  }
}

function Notice({ title, testid, children }: { title: string; testid: string; children: ComponentChildren }) {
  return (
    <main class="card gate" data-testid={testid}>
      <h1>{title}</h1>
      {children}
    </main>
  );
}

/** The owner takes a host's seat under the name that the audience will see. */
function OwnerGate({ at }: { at: Studio }) {
  const busy = useSignal(false);
  const refusal = useSignal<string | null>(null);

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const name = String(new FormData(event.target as HTMLFormElement).get('name')).trim();
    busy.value = true;
    refusal.value = null;
    try {
      await at.takeSeat(name);
      localStorage.setItem(NAME, name);
    } catch (error) {
      refusal.value = wordsOf(error);
      busy.value = false;
    }
  }

  return (
    <Notice title="Take the host’s seat" testid="gate-owner">
      <p class="soft">You are signed in as this server’s owner. In the studio you set up your microphone, invite others and run the event.</p>
      <form class="stack" onSubmit={(event) => void submit(event)}>
        <div class="field">
          <label for="name">Your name, as the audience sees it</label>
          <input class="input" id="name" name="name" required maxLength={80} autoComplete="name" defaultValue={localStorage.getItem(NAME) ?? ''} data-testid="owner-name" />
        </div>
        {refusal.value && (
          <p class="note" data-kind="trouble" role="alert">
            {refusal.value}
          </p>
        )}
        <button class="button" data-kind="main" type="submit" disabled={busy.value} data-testid="owner-enter">
          Enter the studio
        </button>
      </form>
    </Notice>
  );
}
