import { computed, signal } from '@preact/signals';
import { call, wordsOf } from '../shared/api.ts';
import type { Space } from '../shared/space.ts';
import { shelve } from './shelves.ts';

/** Milliseconds between two looks at what is on. */
const LOOK = 20_000;

/** What a person gives to announce a space. */
export interface Announcement {
  title: string;
  description: string;
  starts_at?: string;
}

/** What the front page knows. */
export class Programme {
  readonly spaces = signal<Space[] | null>(null);
  readonly owner = signal<boolean | null>(null);
  /** Why the list could not be fetched, in words. */
  readonly trouble = signal<string | null>(null);
  readonly shelves = computed(() => shelve(this.spaces.value ?? []));

  constructor() {
    void this.refresh();
    void this.identify();
    setInterval(() => !document.hidden && void this.refresh(), LOOK * (0.9 + Math.random() / 5));
    document.addEventListener('visibilitychange', () => !document.hidden && void this.refresh());
  }

  async refresh(): Promise<void> {
    try {
      this.spaces.value = (await call<{ spaces: Space[] | null }>('/spaces')).spaces ?? [];
      this.trouble.value = null;
    } catch (error) {
      this.trouble.value = wordsOf(error);
    }
  }

  /** Announces a space; throws the refusal. */
  async announce(announcement: Announcement): Promise<Space> {
    const space = await call<Space>('/spaces', { method: 'POST', body: announcement });
    await this.refresh();
    return space;
  }

  async signOut(): Promise<void> {
    await call('/signout', { method: 'POST' });
    this.owner.value = false;
  }

  private async identify(): Promise<void> {
    try {
      this.owner.value = (await call<{ owner: boolean }>('/me')).owner;
    } catch {
      // Not known is not signed in: nothing is offered that would be refused.
      this.owner.value = false;
    }
  }
}
