import { useSignalEffect } from '@preact/signals';
import { Icon } from '../shared/icons.tsx';
import type { Listening } from './model.ts';
import { Volume } from './volume.tsx';

type Props = { at: Listening };

/** The one big button, and in words what goes on. */
export function PlayerCard({ at }: Props) {
  useSignalEffect(() => tellSystem(at));
  const { headline, detail, button } = at.words.value;
  const state = at.player.state.value;
  const trouble = at.stale.value || state === 'failed' || state === 'blocked' || at.phase.value === 'cancelled';
  return (
    <section class="card player" data-testid="player" data-state={state} data-trouble={(trouble && state !== 'held') || undefined} aria-label="Player">
      <div class="player-say">
        <Bars at={at} />
        {/* Headlines change seldom; details that change are read along with them. */}
        <div role="status" aria-live="polite" aria-atomic="true">
          <p class="player-headline" data-testid="headline">
            {headline}
          </p>
          <p class="soft" data-testid="detail">
            {detail}
          </p>
        </div>
      </div>
      {button && (
        <button
          class="button hear"
          data-kind={button.does === 'listen' ? 'main' : undefined}
          data-testid="hear"
          type="button"
          onClick={() => at.press()}
        >
          <Icon name={button.does === 'listen' ? 'play' : 'stop'} size={26} />
          {button.label}
        </button>
      )}
      {button?.does === 'stop' && state !== 'lost' && <Volume at={at} />}
      {at.phase.value === 'cancelled' && (
        <a class="button" href="/">
          See what is on
        </a>
      )}
    </section>
  );
}

/** Moves while someone is heard; still otherwise. */
function Bars({ at }: Props) {
  const playing = at.player.state.value === 'playing';
  const moving = playing && (at.phase.value === 'open' || at.voices.value.some((voice) => voice.speaking));
  return (
    <span class="bars" data-on={playing || undefined} data-moving={moving || undefined} aria-hidden="true">
      <i />
      <i />
      <i />
      <i />
    </span>
  );
}

/** What a phone's lock screen shows while the sound plays. */
function tellSystem(at: Listening): void {
  if (!('mediaSession' in navigator)) return;
  const playing = at.player.state.value === 'playing';
  const speaking = at.voices.value.filter((voice) => voice.speaking).map((voice) => voice.name);
  navigator.mediaSession.playbackState = playing ? 'playing' : 'none';
  navigator.mediaSession.metadata = playing
    ? new MediaMetadata({ title: at.title.value, artist: speaking.join(', ') || 'Hustings' })
    : null;
  navigator.mediaSession.setActionHandler('play', () => at.player.press());
  navigator.mediaSession.setActionHandler('pause', () => at.player.stop());
  navigator.mediaSession.setActionHandler('stop', () => at.player.stop());
}
