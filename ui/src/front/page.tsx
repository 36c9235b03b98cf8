import { Wordmark } from '../shared/wordmark.tsx';
import { Announce } from './announce.tsx';
import type { Programme } from './model.ts';
import { SpaceCard } from './space-card.tsx';
import type { Space } from '../shared/space.ts';

type Props = { at: Programme };

export function FrontPage({ at }: Props) {
  const owner = at.owner.value === true;
  return (
    <div class="page">
      <header class="top">
        <Wordmark />
        {owner && (
          <button class="button" data-kind="quiet" type="button" data-testid="signout" onClick={() => void at.signOut()}>
            Sign out
          </button>
        )}
      </header>
      <main class="front">
        <div class="front-head">
          <h1>Hear it live</h1>
          <p class="soft front-lead">Conversations, town halls and debates. Press one button and listen; no account needed.</p>
        </div>
        {owner && <Announce at={at} />}
        <Shelves at={at} />
      </main>
      {at.owner.value === false && <SignInHint />}
    </div>
  );
}

function Shelves({ at }: Props) {
  const { now, next, past } = at.shelves.value;
  const owner = at.owner.value === true;
  if (at.spaces.value === null) return at.trouble.value ? <Trouble at={at} /> : <p class="soft" role="status">Looking what is on.</p>;
  return (
    <>
      {at.trouble.value && <Trouble at={at} />}
      {now.length + next.length + past.length === 0 && <Nothing owner={owner} />}
      <Shelf title="On now" spaces={now} owner={owner} />
      <Shelf title="Coming up" spaces={next} owner={owner} />
      <Shelf title="Past events" spaces={past} owner={owner} />
    </>
  );
}

function Shelf({ title, spaces, owner }: { title: string; spaces: Space[]; owner: boolean }) {
  if (spaces.length === 0) return null;
  return (
    <section class="stack" aria-label={title}>
      <h2>{title}</h2>
      <ul class="shelf">
        {spaces.map((space) => (
          <li key={space.id}>
            <SpaceCard space={space} owner={owner} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Nothing({ owner }: { owner: boolean }) {
  return (
    <section class="card" data-testid="nothing">
      <h2>Nothing is announced yet</h2>
      <p class="soft">{owner ? 'Announce your first space: a title is enough, and you get a link to share.' : 'Come back soon: what is on appears here by itself.'}</p>
    </section>
  );
}

function Trouble({ at }: Props) {
  return (
    <div class="note" data-kind="trouble" role="alert" data-testid="trouble">
      <strong>What is on could not be fetched</strong>
      <span>{at.trouble.value}</span>
      <button class="button" type="button" onClick={() => void at.refresh()}>
        Try again
      </button>
    </div>
  );
}

function SignInHint() {
  return (
    <footer class="small soft front-foot" data-testid="signin-hint">
      <p>Is this your server? Open the sign-in link that it printed when it started, and announce your events here.</p>
    </footer>
  );
}
