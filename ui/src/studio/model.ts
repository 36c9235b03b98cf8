import { computed, effect, signal, type Signal } from '@preact/signals';
import { call, Problem, wordsOf } from '../shared/api.ts';
import { moderates, type Phase, type Role, type Space } from '../shared/space.ts';
import { dropToken, keepToken } from './entry.ts';
import { Microphone } from './mic.ts';
import { OwnSeat } from './seat.ts';
import { SoundCheck } from './sound-check.ts';
import { StageSocket } from './socket.ts';

/** Who the server takes this page's holder for. */
interface Me {
  owner: boolean;
  invite: { space: string; seat: string; role: Role; name: string } | null;
}

/** An invite as its makers see it. */
export interface Invite {
  seat: string;
  role: Role;
  name: string;
  url: string;
  token: string;
}

/** How one came to this page. */
export type Entry =
  | { kind: 'loading' }
  | { kind: 'in'; room: Room }
  | { kind: 'owner' } // signed in, without a seat yet
  | { kind: 'stranger' } // neither an invite nor signed in
  | { kind: 'missing' }
  | { kind: 'expired'; detail: string }
  | { kind: 'trouble'; detail: string };

/** Finds out who is here, and lets them in. */
export class Studio {
  readonly entry = signal<Entry>({ kind: 'loading' });

  constructor(
    readonly id: string,
    private token: string | null,
  ) {
    void this.enter();
  }

  async enter(): Promise<void> {
    try {
      const space = await call<Space>(`/spaces/${this.id}`);
      const me = await call<Me>('/me', { token: this.token });
      if (this.token && me.invite?.space === this.id) {
        this.entry.value = { kind: 'in', room: new Room(space, me.invite, this.token) };
      } else if (me.owner) {
        this.entry.value = { kind: 'owner' };
      } else {
        this.entry.value = { kind: this.token ? 'expired' : 'stranger', detail: 'This link is for another event. Ask the host for one to this event.' };
      }
    } catch (error) {
      this.refused(error);
    }
  }

  /** Gives the owner a host's seat: the one of that name, or a new one. */
  async takeSeat(name: string): Promise<void> {
    const { invites } = await call<{ invites: Invite[] | null }>(`/spaces/${this.id}/invites`);
    const own = invites?.find((invite) => invite.role === 'host' && invite.name === name);
    const { token } = own ?? (await call<Invite>(`/spaces/${this.id}/invites`, { method: 'POST', body: { role: 'host', name } }));
    keepToken(this.id, token);
    this.token = token;
    await this.enter();
  }

  private refused(error: unknown): void {
    const status = error instanceof Problem ? error.status : 0;
    if (status === 404) this.entry.value = { kind: 'missing' };
    else if (status === 401 || status === 403) {
      dropToken(this.id);
      this.token = null;
      this.entry.value = { kind: 'expired', detail: wordsOf(error) };
    } else this.entry.value = { kind: 'trouble', detail: wordsOf(error) };
  }
}

/** The studio of one who has a seat. */
export class Room {
  readonly space: Signal<Space>;
  readonly now = signal(Date.now());
  readonly mic = new Microphone();
  readonly check = new SoundCheck();
  readonly socket: StageSocket;
  readonly seat: OwnSeat;

  constructor(
    space: Space,
    readonly me: NonNullable<Me['invite']>,
    private readonly token: string,
  ) {
    this.space = signal(space);
    const path = `/api/v1/spaces/${encodeURIComponent(space.id)}`;
    this.socket = new StageSocket(`${location.origin.replace(/^http/, 'ws')}${path}/stage`, token);
    this.seat = new OwnSeat(path, token, this.mic, this.socket);
    void this.socket.renew();
    setInterval(() => (this.now.value = Date.now()), 1000);
    this.socket.state.subscribe((state) => {
      // Times of opening and starting are the space's own; the stage tells only that it happened.
      if (state && state.phase !== this.space.peek().phase) void this.refresh();
    });
    effect(() => {
      if (this.over.value) this.close();
    });
    addEventListener('pagehide', () => this.seat.leave());
  }

  readonly phase = computed<Phase>(() => this.socket.state.value?.phase ?? this.space.value.phase);
  readonly over = computed(() => this.phase.value === 'ended' || this.phase.value === 'cancelled');
  readonly title = computed(() => this.socket.state.value?.title || this.space.value.title);
  readonly startsAt = computed(() => this.socket.state.value?.starts_at ?? this.space.value.starts_at ?? null);
  readonly moderates = computed(() => moderates(this.me.role));
  readonly tally = computed(() => this.socket.state.value?.tally ?? this.space.value.tally ?? null);
  /** Seconds on air; null when not. */
  readonly elapsed = computed(() => {
    const started = this.space.value.started_at;
    return this.phase.value === 'live' && started ? (this.now.value - Date.parse(started)) / 1000 : null;
  });

  /** Opens, starts, ends or cancels; throws the refusal. */
  async go(step: 'open' | 'start' | 'end' | 'cancel', anyway = false): Promise<void> {
    const body = anyway ? { anyway: true } : undefined;
    this.learn(await this.ask<Space>(`/${step}`, 'POST', body));
  }

  /** Renames or reschedules; throws the refusal. */
  async edit(change: { title?: string; description?: string; starts_at?: string }): Promise<void> {
    this.learn(await this.ask<Space>('', 'PATCH', change));
  }

  async invites(): Promise<Invite[]> {
    return (await this.ask<{ invites: Invite[] | null }>('/invites', 'GET')).invites ?? [];
  }

  async invite(role: Role, name: string): Promise<Invite> {
    return this.ask<Invite>('/invites', 'POST', { role, name });
  }

  async revoke(seat: string): Promise<void> {
    await this.ask<void>(`/invites/${encodeURIComponent(seat)}`, 'DELETE');
  }

  async refresh(): Promise<void> {
    try {
      this.space.value = await call<Space>(`/spaces/${this.space.peek().id}`);
    } catch {
      // The stage's word is newer anyway; the next change asks again.
    }
  }

  /** After the end there is no stage to be on, and no reason to hold a microphone. */
  private close(): void {
    this.seat.leave(false);
    this.socket.close();
    this.check.stop();
    this.mic.close();
  }

  private learn(space: Space | undefined): void {
    if (space?.phase) this.space.value = space;
    else void this.refresh();
  }

  private ask<T>(path: string, method: 'GET' | 'POST' | 'PATCH' | 'DELETE', body?: unknown): Promise<T> {
    return call<T>(`/spaces/${encodeURIComponent(this.space.peek().id)}${path}`, { method, body, token: this.token });
  }
}
