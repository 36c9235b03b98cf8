import { Face } from '../shared/person.tsx';
import { roleName } from '../shared/space.ts';
import type { Listening, Voice } from './model.ts';

/** Who is on stage, and who of them is heard now. */
export function Voices({ at }: { at: Listening }) {
  const phase = at.phase.value;
  const voices = at.voices.value;
  const stale = at.stale.value;
  // Nobody was seen, and nobody can be.
  const nothing = voices.length === 0 && (stale || phase === 'ended');
  if (phase === 'scheduled' || phase === 'cancelled' || nothing) return null;
  return (
    <section class="card event-stage" aria-label="On stage" data-testid="voices" data-stale={stale || undefined}>
      <h2>{stale ? 'On stage, as last known' : phase === 'ended' ? 'On stage at this point' : 'On stage'}</h2>
      {voices.length === 0 ? (
        <p class="soft">{phase === 'open' ? 'The speakers come on stage in a moment.' : 'Names appear here as people come on stage.'}</p>
      ) : (
        <ul class="voices">
          {voices.map((voice) => (
            <VoiceLine key={voice.id} voice={voice} />
          ))}
        </ul>
      )}
    </section>
  );
}

function VoiceLine({ voice }: { voice: Voice }) {
  return (
    <li class="voice" data-testid="voice" data-speaking={voice.speaking}>
      <Face name={voice.name} />
      <span class="voice-name">
        <b>
          <bdi>{voice.name}</bdi>
        </b>
        <span class="soft small">{voice.muted ? `${roleName(voice.role)}, muted` : roleName(voice.role)}</span>
      </span>
      {voice.speaking && <span class="speaking small">Speaking</span>}
    </li>
  );
}
