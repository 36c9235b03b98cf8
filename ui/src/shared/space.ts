/** The vocabulary of Hustings, as the API and the pulse spell it. */

export type Phase = 'scheduled' | 'open' | 'live' | 'ended' | 'cancelled';
export type Role = 'host' | 'cohost' | 'speaker' | 'caller';

export interface Tally {
  now: number;
  peak: number;
  total: number;
}

/** A space as GET /api/v1/spaces/{id} gives it. Times are RFC 3339; an absent one has not come yet. */
export interface Space {
  id: string;
  title: string;
  description?: string;
  phase: Phase;
  starts_at?: string | null;
  rescheduled?: boolean;
  opened_at?: string | null;
  started_at?: string | null;
  ended_at?: string | null;
  tally?: Tally | null;
  /** The signed list of servers that carry the programme; absent where there is this one alone. */
  edges?: string;
  links: { listen: string; studio: string; ogg: string; recording?: { ogg: string; mp4: string; json: string } | null };
}

/** A seat as the pulse tells it to the audience. */
export interface PulseSeat {
  name: string;
  role: Role;
  muted?: boolean;
}

/** The small state document that rides in each block of the stream. */
export interface Pulse {
  phase: Phase;
  title: string;
  starts_at?: string;
  tally?: Tally;
  seats?: Record<string, PulseSeat>;
  speaking?: string[];
  notice?: string;
  /** As in Space. */
  edges?: string;
}

/** A seat as the stage's WebSocket tells it to the studio. */
export interface Seat {
  id: string;
  name: string;
  role: Role;
  muted: boolean;
  connected: boolean;
}

export const onAir = (phase: Phase): boolean => phase === 'open' || phase === 'live';
export const moderates = (role: Role): boolean => role === 'host' || role === 'cohost';

const ROLES: Record<Role, string> = { host: 'Host', cohost: 'Co-host', speaker: 'Speaker', caller: 'Caller' };
export const roleName = (role: Role): string => ROLES[role];

const RANK: Record<Role, number> = { host: 0, cohost: 1, speaker: 2, caller: 3 };

/** Seats in the order in which every page shows them: hosts first, then by name. */
export function inOrder<T extends { id: string; name: string; role: Role }>(seats: readonly T[]): T[] {
  const { compare } = new Intl.Collator('en', { numeric: true });
  return [...seats].sort((a, b) => RANK[a.role] - RANK[b.role] || compare(a.name, b.name) || compare(a.id, b.id));
}

/** A space's id from a page's path: /s/{id} or /studio/{id}. */
export function idFromPath(path: string): string {
  return decodeURIComponent(path.split('/')[2] ?? '');
}
