import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { call } from '../shared/api.ts';
import { Icon } from '../shared/icons.tsx';
import { CopyButton } from './copy.tsx';
import { capacityWords, iphoneWords, rehearseCommand, type Capacity, type Point, type Renditions } from './crowd.ts';

/** How well this deployment is prepared for those who will listen; `link` is theirs. */
export function Crowd({ link }: { link: string }) {
  const capacity = useSignal<Capacity | null>(null);
  const renditions = useSignal<Renditions | null>(null);

  useEffect(() => {
    // What can't be had is not shown: none of it is needed to go on air.
    const look = () => {
      if (document.hidden) return;
      call<Capacity>('/capacity').then((found) => (capacity.value = found), () => {});
      call<Renditions>('/renditions').then((found) => (renditions.value = found), () => {});
    };
    look();
    // Back from the window in which a rehearsal was run, say.
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, []);

  const points = [capacity.value && capacityWords(capacity.value), renditions.value && iphoneWords(renditions.value)].filter((each) => each !== null);
  if (points.length === 0) return null;
  return (
    <section class="card" aria-label="Ready for a crowd" data-testid="crowd">
      <h2>Ready for a crowd</h2>
      <ul class="ready">
        {points.map((point) => (
          <Line key={point.title} point={point} />
        ))}
      </ul>
      {capacity.value && <Rehearse command={rehearseCommand(link, capacity.value)} />}
    </section>
  );
}

function Line({ point: { kind, title, detail } }: { point: Point }) {
  return (
    <li class="ready-point" data-kind={kind}>
      <Icon name={kind === 'good' ? 'check' : kind === 'hold' ? 'attention' : 'people'} size={22} />
      <span>
        <b class="block">{title}</b>
        <span class="soft small">{detail}</span>
      </span>
    </li>
  );
}

function Rehearse({ command }: { command: string }) {
  return (
    <details data-testid="rehearse">
      <summary>How to rehearse</summary>
      <div class="stack">
        <p class="soft small">Run this on another machine, with the owner’s token in HUSTINGS_OWNER_TOKEN:</p>
        <code class="command" tabIndex={0}>{command}</code>
        <div>
          <CopyButton text={command} label="Copy the command" testid="copy-rehearse" />
        </div>
      </div>
    </details>
  );
}
