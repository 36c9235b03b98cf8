import { signal } from '@preact/signals';
import { backoff } from '../shared/backoff.ts';
import type { Phase, Seat, Tally } from '../shared/space.ts';

/** The stage as the server tells it on every change. */
export interface StageState {
  phase: Phase;
  title: string;
  starts_at?: string | null;
  you: string;
  seats: Seat[] | null;
  speaking: string[] | null;
  tally: Tally;
}

type Message =
  | ({ type: 'stage' } & StageState)
  | { type: 'levels'; levels: Record<string, number> }
  | { type: 'removed' | 'replaced' | 'error'; detail: string };

type Command = { type: 'mute'; muted: boolean } | { type: 'mute_seat' | 'remove'; seat: string };

/** Why the stage ended this page's part, in the server's words. */
export interface Dismissal {
  kind: 'removed' | 'replaced';
  detail: string;
}

/** The longest pause between two tries, in ms: what is seen of the stage is old meanwhile. */
const PAUSE = 2_000;

/** How long a new socket may take before one goes on without it, in ms. */
const PATIENCE = 4_000;

/** What goes on on stage, told by its WebSocket; comes back by itself when lost. */
export class StageSocket {
  readonly state = signal<StageState | null>(null);
  readonly levels = signal<Record<string, number>>({});
  readonly connected = signal(false);
  readonly dismissed = signal<Dismissal | null>(null);
  /** A refusal of a command, in the server's words. */
  readonly refusal = signal<string | null>(null);

  private socket: WebSocket | null = null;
  private retry = 0;
  private tries = 0;
  private welcomed: () => void = () => {};

  constructor(
    private readonly url: string,
    private readonly token: string,
  ) {}

  /**
   * Opens the socket anew and resolves once the stage has answered, or it is clear
   * that it does not. The newest page of a seat keeps it, so this comes before each joining.
   */
  renew(): Promise<void> {
    clearTimeout(this.retry);
    this.dismissed.value = null;
    const welcome = new Promise<void>((resolve) => {
      this.welcomed = resolve;
      setTimeout(resolve, PATIENCE);
    });
    this.open();
    return welcome;
  }

  close(): void {
    clearTimeout(this.retry);
    const { socket } = this;
    this.socket = null;
    socket?.close();
    this.connected.value = false;
  }

  /** Tells the stage; false when it can't be told now. */
  send(command: Command): boolean {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.refusal.value = null;
    this.socket.send(JSON.stringify(command));
    return true;
  }

  private open(): void {
    this.close();
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.addEventListener('open', () => socket.send(JSON.stringify({ type: 'hello', token: this.token })));
    socket.addEventListener('message', (event) => socket === this.socket && this.take(JSON.parse(String(event.data)) as Message));
    socket.addEventListener('close', () => socket === this.socket && this.lost());
  }

  private take(message: Message): void {
    switch (message.type) {
      case 'stage':
        this.tries = 0;
        this.connected.value = true;
        this.state.value = message;
        this.welcomed();
        return;
      case 'levels':
        this.levels.value = message.levels;
        return;
      case 'removed':
      case 'replaced':
        this.close();
        this.dismissed.value = { kind: message.type, detail: message.detail };
        return;
      case 'error':
        this.refusal.value = message.detail;
    }
  }

  private lost(): void {
    this.connected.value = false;
    this.levels.value = {};
    this.welcomed();
    this.retry = window.setTimeout(() => this.open(), backoff(this.tries++, Math.random, 400, PAUSE));
  }
}
