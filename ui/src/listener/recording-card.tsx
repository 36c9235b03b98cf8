import { Icon } from '../shared/icons.tsx';
import { clock, clockWords } from '../shared/time.ts';
import { lengthWords } from './words.ts';
import type { RecordingPlayer } from './recording.ts';

type Props = { rec: RecordingPlayer };

const SPEEDS = [1, 1.25, 1.5, 2];

/** Takes the place of the live player after the end. */
export function RecordingCard({ rec }: Props) {
  const ready = rec.info.value !== null;
  const playing = rec.state.value === 'playing' || rec.state.value === 'buffering';
  return (
    <section class="card player" aria-label="Recording" data-testid="recording" data-state={rec.state.value} onKeyDown={(event) => keys(event, rec)}>
      <div role="status">
        <p class="player-headline" data-testid="headline">
          {ready ? 'The recording' : 'The recording is on its way'}
        </p>
        <p class="soft" data-testid="detail">
          {detail(rec, ready)}
        </p>
      </div>
      {ready && (
        <>
          <div class="transport">
            <button class="button round" data-kind="quiet" type="button" aria-label="Back 15 seconds" data-testid="back" onClick={() => rec.skip(-15)}>
              <Icon name="back" />
            </button>
            <button class="button hear" data-kind="main" type="button" data-testid="rec-play" onClick={() => rec.toggle()}>
              <Icon name={playing ? 'pause' : 'play'} size={26} />
              {playing ? 'Pause' : 'Play'}
            </button>
            <button class="button round" data-kind="quiet" type="button" aria-label="Forward 15 seconds" data-testid="forward" onClick={() => rec.skip(15)}>
              <Icon name="forward" />
            </button>
          </div>
          <Position rec={rec} />
          <Chapters rec={rec} />
          <div class="row spread small">
            <Speed rec={rec} />
            <span class="soft">
              Download: <a href={rec.files.mp4} download>MP4</a> or <a href={rec.files.ogg} download>Ogg</a>
            </span>
          </div>
        </>
      )}
    </section>
  );
}

function detail(rec: RecordingPlayer, ready: boolean): string {
  if (!ready) return 'The event has ended. Stay here: the recording appears in a moment.';
  if (rec.state.value === 'failed') return 'It could not be played. Check your connection and press play again, or download it below.';
  return lengthWords(rec.length.value, rec.beginning.value);
}

function Position({ rec }: Props) {
  const at = rec.position.value;
  const length = rec.length.value;
  return (
    <div class="position">
      <input
        type="range"
        min="0"
        max={Math.max(1, Math.floor(length))}
        step="1"
        value={Math.floor(at)}
        aria-label="Position"
        aria-valuetext={`${clockWords(at)} of ${clockWords(length)}`}
        data-testid="seek"
        onInput={(event) => rec.seek(Number(event.currentTarget.value))}
      />
      <span class="small soft" data-testid="position">{clock(at)}</span>
      <span class="small soft">{clock(length)}</span>
    </div>
  );
}

function Chapters({ rec }: Props) {
  const chapters = rec.info.value?.chapters ?? [];
  if (chapters.length === 0) return null;
  const here = rec.chapterAt(rec.position.value);
  return (
    <ul class="chapters" aria-label="Chapters">
      {chapters.map((chapter) => (
        <li key={chapter.start}>
          <button class="chapter" type="button" data-testid="chapter" aria-current={chapter === here ? 'true' : undefined} onClick={() => rec.seek(chapter.start)}>
            <span>{chapter.title}</span>
            <span class="soft small">{clock(chapter.start)}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

function Speed({ rec }: Props) {
  return (
    <label class="row">
      <span class="soft">Speed</span>
      <select class="input speed" data-testid="speed" value={rec.speed.value} onChange={(event) => rec.setSpeed(Number(event.currentTarget.value))}>
        {SPEEDS.map((speed) => (
          <option key={speed} value={speed}>{`${speed}×`}</option>
        ))}
      </select>
    </label>
  );
}

/** Keys of common players, for whoever is inside the card; a slider and a list have their own. */
function keys(event: KeyboardEvent, rec: RecordingPlayer): void {
  if (event.target instanceof HTMLSelectElement || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'k') rec.toggle();
  else if (event.key === 'j') rec.skip(-15);
  else if (event.key === 'l') rec.skip(15);
}
