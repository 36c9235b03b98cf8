import { useMemo } from 'preact/hooks';
import { Icon } from '../shared/icons.tsx';
import type { Listening } from './model.ts';

/** Mute and volume; iPhones leave the volume to their own buttons. */
export function Volume({ at }: { at: Listening }) {
  const muted = at.muted.value;
  const fixed = useMemo(() => volumeIsFixed(at.audio), [at]);
  return (
    <div class="volume">
      <button
        class="button"
        data-kind="quiet"
        type="button"
        data-testid="volume-mute"
        aria-pressed={muted}
        aria-label="Mute"
        onClick={() => (at.muted.value = !muted)}
      >
        <Icon name={muted ? 'silent' : 'sound'} />
      </button>
      {!fixed && (
        <input
          type="range"
          min="0"
          max="100"
          step="1"
          aria-label="Volume"
          data-testid="volume"
          value={muted ? 0 : Math.round(at.volume.value * 100)}
          onInput={(event) => {
            at.volume.value = Number(event.currentTarget.value) / 100;
            at.muted.value = false;
          }}
        />
      )}
    </div>
  );
}

/** iPhones take no volume from a page: it reads 1 whatever was set. */
function volumeIsFixed(audio: HTMLAudioElement): boolean {
  const before = audio.volume;
  audio.volume = 0.5;
  const fixed = audio.volume !== 0.5;
  audio.volume = before;
  return fixed;
}
