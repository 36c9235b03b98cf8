import { batch, computed, effect, signal } from '@preact/signals';
import { Address } from '../live/address.ts';
import { Edges } from '../live/edges.ts';
import { PlainPlayer } from '../live/plain.ts';
import { StreamPlayer, type Player } from '../live/player.ts';
import { chooseWay } from '../live/way.ts';
import { inOrder, onAir, type Phase, type Pulse, type PulseSeat, type Space } from '../shared/space.ts';
import { soundElement } from '../shared/sound.ts';
import { RecordingPlayer } from './recording.ts';
import { replacedStart } from './announced.ts';
import { Hold } from './hold.ts';
import { listenerToken } from './token.ts';
import { SpaceWatch } from './watch.ts';
import { wordsFor, type Words } from './words.ts';

/** Someone on stage, as the page shows them. */
export interface Voice extends PulseSeat {
  id: string;
  speaking: boolean;
}

/** Looks in a row that may fail before the page says so: one may just have been unlucky. */
const UNLUCKY = 1;

/** Milliseconds after the first sound at which the page fetches what it may need later. */
const AFTER_FIRST_SOUND = 3_000;

/** What the page knows; the views only read it. */
export class Listening {
  /** The space as last told by the API; null when there is none of that name. */
  readonly space = signal<Space | null>(null);
  readonly now = signal(Date.now());
  readonly volume = signal(1);
  readonly muted = signal(false);
  private readonly glimpse = signal<Pulse | null>(null);
  /** Looks at the space that failed in a row. */
  private readonly failures = signal(0);
  /** Was there sound since the button was pressed? */
  private readonly heard = signal(false);
  private readonly watch: SpaceWatch;
  readonly player: Player;
  /** What takes the player's place after the end. */
  readonly recording = signal<RecordingPlayer | null>(null);
  readonly audio = soundElement('sound');
  private readonly edges = new Edges();
  private readonly hold = new Hold();

  constructor(
    readonly id: string,
    initial: Space | null,
  ) {
    this.player = this.choosePlayer();
    this.learn(initial);
    setInterval(() => (this.now.value = Date.now()), 1000);
    this.watch = new SpaceWatch(id, {
      wanted: () => this.needsLook(),
      startsIn: () => this.startsIn.peek(),
      waiting: () => this.player.state.peek() === 'waiting',
      found: (space) => this.learn(space),
      failed: (inARow) => (this.failures.value = inARow),
    });
    effect(() => {
      const state = this.player.state.value;
      if (state === 'playing') this.heard.value = true;
      if (state === 'idle') this.heard.value = false;
      this.hold.play(state === 'held');
      // Behind the first sound, which nothing is to delay.
      if (state === 'playing') setTimeout(() => this.hold.prepare(), AFTER_FIRST_SOUND);
    });
    effect(() => {
      this.audio.volume = this.volume.value;
      this.audio.muted = this.muted.value;
      this.hold.loud(this.muted.value ? 0 : this.volume.value);
    });
    effect(() => {
      if (this.player.state.value === 'over') void this.refresh();
    });
    effect(() => {
      if (this.phase.value === 'ended' && !this.recording.peek()) this.recording.value = new RecordingPlayer(id);
    });
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden && this.needsLook()) void this.refresh();
    });
  }

  /** The stream's word, as heard, goes before the API's, which was asked a while ago. */
  private readonly pulse = computed(() => this.player.pulse.value ?? this.glimpse.value);

  readonly phase = computed<Phase>(() => {
    const told = this.pulse.value?.phase ?? this.space.value?.phase ?? 'scheduled';
    // The last words are still being heard when the pulse says that they were the last.
    const hearing = this.player.state.value === 'playing' || this.player.state.value === 'buffering';
    return told === 'ended' && hearing ? 'live' : told;
  });

  private readonly unreached = computed(() => this.failures.value > UNLUCKY);

  /** What is shown is what was known last: there is no connection to tell what is so. */
  readonly stale = computed(() => {
    const state = this.player.state.value;
    return state === 'lost' || state === 'held' || (this.unreached.value && (state === 'idle' || state === 'waiting') && !this.recording.value);
  });

  readonly title = computed(() => this.pulse.value?.title ?? this.space.value?.title ?? '');
  readonly startsAt = computed(() => this.pulse.value?.starts_at ?? this.space.value?.starts_at ?? null);
  readonly startsIn = computed(() => (this.startsAt.value ? Date.parse(this.startsAt.value) - this.now.value : null));
  readonly tally = computed(() => this.recording.value?.info.value?.tally ?? this.pulse.value?.tally ?? this.space.value?.tally ?? null);

  /** The start that the present one replaced; null if this browser was told none. */
  readonly movedFrom = computed(() => (this.startsAt.value ? replacedStart(this.id, this.startsAt.value, localStorage) : null));

  readonly voices = computed<Voice[]>(() => {
    const pulse = this.recording.value?.pulse.value ?? this.pulse.value;
    const silent = this.stale.value || this.recording.value?.state.value === 'idle';
    const speaking = new Set(silent ? [] : (pulse?.speaking ?? []));
    const seats = Object.entries(pulse?.seats ?? {}).map(([id, seat]) => ({ ...seat, id, speaking: speaking.has(id) && !seat.muted }));
    return inOrder(seats);
  });

  readonly words = computed<Words>(() => {
    const lost = this.player.lostSince.value;
    return wordsFor({
      phase: this.phase.value,
      player: this.player.state.value,
      startsIn: this.startsIn.value,
      notice: this.pulse.value?.notice ?? '',
      lostSince: lost ? new Date(lost).toLocaleTimeString() : null,
      heard: this.heard.value,
      unreached: this.unreached.value,
      behind: this.player.behind.value,
      speaking: this.voices.value.some((voice) => voice.speaking),
    });
  });

  /** Does what the button says. */
  press(): void {
    if (this.words.value.button?.does === 'stop') {
      this.player.stop();
      return;
    }
    this.hold.allow();
    this.player.press();
    // The doors may have opened since this page last looked; from now on it looks more often.
    if (this.player.state.peek() === 'waiting') void this.refresh();
  }

  /** Asks for the space now. */
  refresh(): Promise<void> {
    return this.watch.look();
  }

  /** Who is on stage, for those who have not pressed the button. Who speaks now would be old news before it is shown. */
  private async peekAtStage(): Promise<void> {
    const response = await fetch(`/live/${encodeURIComponent(this.id)}/pulse`).catch(() => null);
    if (response?.ok && !this.hears()) this.glimpse.value = { ...((await response.json()) as Pulse), speaking: [] };
  }

  private learn(space: Space | null): void {
    this.edges.learn(space?.edges, '');
    batch(() => {
      this.space.value = space;
      this.glimpse.value = null;
      // Without a stream there is no newer word than this.
      if (!this.hears()) this.player.pulse.value = null;
    });
    if (space && onAir(space.phase)) {
      this.player.doorsOpened();
      void this.peekAtStage();
    }
    if (space?.phase === 'cancelled' && this.player.state.peek() === 'waiting') this.player.stop();
  }

  private choosePlayer(): Player {
    const address = new Address(this.id, listenerToken(this.id), this.edges);
    const isOpen = () => onAir(this.space.peek()?.phase ?? 'scheduled');
    const way = chooseWay();
    if (way.kind === 'pushed') return new StreamPlayer(this.audio, address, way.feed, isOpen, () => void this.refresh());
    const player = new PlainPlayer(this.audio, address, way.kind === 'files' ? way.files : [], isOpen);
    if (way.kind === 'none') player.state.value = 'failed';
    return player;
  }

  private hears(): boolean {
    return ['playing', 'buffering', 'held', 'lost'].includes(this.player.state.peek());
  }

  /** While the stream tells everything, and once all is over, there is nothing to ask. */
  private needsLook(): boolean {
    const phase = this.space.peek()?.phase;
    return !this.hears() && phase !== 'cancelled' && phase !== 'ended';
  }
}
