import { Wordmark } from '../shared/wordmark.tsx';
import { Gate } from './gate.tsx';
import type { Studio } from './model.ts';
import { RoomView } from './room.tsx';

export function StudioPage({ at }: { at: Studio }) {
  const entry = at.entry.value;
  return (
    <div class="page studio">
      <header class="top">
        <Wordmark />
        <span class="pill">Studio</span>
      </header>
      {entry.kind === 'in' ? <RoomView room={entry.room} /> : <Gate at={at} entry={entry} />}
    </div>
  );
}
