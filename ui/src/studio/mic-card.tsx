import { useComputed } from '@preact/signals';
import { useFocusLeft } from '../shared/focus.ts';
import { Icon } from '../shared/icons.tsx';
import type { Processing } from './mic.ts';
import { Meter } from './meter.tsx';
import type { Room } from './model.ts';
import { micWords } from './words.ts';

type Props = { room: Room };

/** The microphone: which one, how loud, and how it sounds to others. */
export function MicCard({ room }: Props) {
  const { mic } = room;
  const trouble = mic.trouble.value;
  return (
    <section class="card" aria-label="Your microphone" data-testid="mic-card">
      <h2>Your microphone</h2>
      {trouble && (
        <div class="note" data-kind="trouble" role="alert" data-testid="mic-trouble" data-trouble={trouble}>
          <strong>{micWords(trouble).title}</strong>
          <span>{micWords(trouble).detail}</span>
          {trouble !== 'insecure' && (
            <button class="button" type="button" data-testid="mic-retry" onClick={() => void mic.open()}>
              Try again
            </button>
          )}
        </div>
      )}
      {mic.stream.value ? <Chosen room={room} /> : !trouble && <TurnOn room={room} />}
      {trouble && !mic.stream.value && mic.devices.value.length > 1 && <Devices room={room} />}
    </section>
  );
}

function TurnOn({ room }: Props) {
  return (
    <>
      <p class="soft">Turn it on to see your level and to hear yourself. Nobody hears you until you join.</p>
      <div>
        <button class="button" data-kind="main" type="button" data-testid="mic-on" onClick={() => void room.mic.open()}>
          <Icon name="mic" />
          Turn on the microphone
        </button>
      </div>
    </>
  );
}

function Chosen({ room }: Props) {
  return (
    <>
      <div class="field">
        <span class="label">Level</span>
        <Meter level={room.mic.level} label="Level of your microphone" testid="mic-level" />
        <LevelWords room={room} />
      </div>
      <Devices room={room} />
      <Check room={room} />
      <Cleaning room={room} />
    </>
  );
}

function bandOf(level: number): 'loud' | 'right' | 'low' {
  if (level > -3) return 'loud';
  return level < -45 ? 'low' : 'right';
}

function LevelWords({ room }: Props) {
  const level = useComputed(() => bandOf(room.mic.recent.value)).value;
  const words = { loud: 'Too loud: move back a little.', low: 'Say something: the bar should move.', right: 'This sounds right.' }[level];
  return <span class="soft small">{words}</span>;
}

function Devices({ room }: Props) {
  const { mic } = room;
  return (
    <div class="field">
      <label for="device">Microphone</label>
      <select class="input" id="device" data-testid="device" value={mic.deviceId.value} onChange={(event) => void mic.choose(event.currentTarget.value)}>
        {mic.devices.value.map((device) => (
          <option key={device.id} value={device.id}>
            {device.label}
          </option>
        ))}
      </select>
    </div>
  );
}

/** "Hear yourself back": some seconds recorded and played. */
function Check({ room }: Props) {
  const { check, mic } = room;
  const state = check.state.value;
  const busy = state === 'recording' || state === 'playing';
  const button = useFocusLeft<HTMLButtonElement>();
  const words = {
    idle: 'Records four seconds and plays them to you. Nothing leaves your device.',
    recording: 'Speak now.',
    playing: 'This is how you sound.',
    done: 'Heard yourself clearly? Then you are ready.',
    failed: 'The sound check did not work in this browser. The level above still tells whether you are heard.',
  }[state];
  return (
    <div class="row check-row" data-testid="sound-check" data-state={state}>
      <button
        class="button"
        type="button"
        data-testid="sound-check-button"
        ref={button}
        onClick={() => (busy ? check.stop() : mic.stream.value && check.start(mic.stream.value))}
      >
        <Icon name={busy ? 'stop' : 'play'} size={20} />
        {busy ? 'Stop' : 'Hear yourself back'}
      </button>
      <span class="soft small check-words" role="status">
        {words}
      </span>
    </div>
  );
}

const CLEANING: [keyof Processing, string][] = [
  ['echoCancellation', 'Cancel echo (leave on without headphones)'],
  ['noiseSuppression', 'Suppress noise'],
  ['autoGainControl', 'Even out my volume'],
];

function Cleaning({ room }: Props) {
  return (
    <details>
      <summary>Sound processing</summary>
      {CLEANING.map(([key, label]) => (
        <label class="check" key={key}>
          <input
            type="checkbox"
            data-testid={`processing-${key}`}
            checked={room.mic.processing.value[key]}
            onChange={(event) => void room.mic.process({ [key]: event.currentTarget.checked })}
          />
          {label}
        </label>
      ))}
    </details>
  );
}
