import type { Pulse } from '../shared/space.ts';
import type { PulseMessage } from './fragment.ts';
import { mergePatch } from './patch.ts';

/**
 * Holds the states that came in the stream until the sound that they belong to
 * is heard, so that a name lights up with its voice.
 */
export class PulseQueue {
  /** The state as last received, ahead of what is heard. */
  received: Pulse | null = null;
  private waiting: { time: number; state: Pulse }[] = [];

  push(message: PulseMessage): void {
    // A patch without a state before it means nothing yet; the next connection brings a whole one.
    if (message.kind === 'patch' && !this.received) return;
    const state = mergePatch(message.kind === 'state' ? null : this.received, message.value) as Pulse;
    this.received = state;
    this.waiting.push({ time: message.time, state });
  }

  /** The newest state that is due at a playing position; null if there is none since the last call. */
  due(position: number): Pulse | null {
    const later = this.waiting.findIndex((entry) => entry.time > position);
    const passed = later < 0 ? this.waiting.splice(0) : this.waiting.splice(0, later);
    return passed.at(-1)?.state ?? null;
  }

  /** A new connection begins with a state of its own. */
  restart(): void {
    this.received = null;
    this.waiting = [];
  }
}
