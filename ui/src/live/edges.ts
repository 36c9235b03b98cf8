/** Which of the servers that carry the programme this page hears it from. */

import { open, textOf, type Verifier, verifiers } from './note.ts';

/** A server that may be listened to; the page's own has the url "". */
export interface Edge {
  url: string;
  weight: number;
}

/** A list of edges, and when it was signed, in ms since 1970. */
export interface EdgeList {
  time: number;
  edges: Edge[];
}

/** Milliseconds for which an edge that failed is passed over. */
const REMEMBER = 30_000;

/** Milliseconds that a press waits at most for a list that is being verified. */
const SETTLE = 1_000;

/** Reads the text of a list: "hustings/edges", a time, then a line "WEIGHT URL" for each edge. Null if it is none. */
export function parseEdges(text: string, own: string): EdgeList | null {
  const [kind, stamp, ...lines] = text.replace(/\n$/, '').split('\n');
  const time = Date.parse(stamp ?? '');
  if (kind !== 'hustings/edges' || Number.isNaN(time)) return null;
  const edges: Edge[] = [];
  for (const line of lines) {
    const [, weight, address] = /^(\d{1,9}) (\S+)$/.exec(line) ?? [];
    if (address === undefined) return null;
    const url = originOf(address, own);
    if (url !== null) edges.push({ url, weight: Number(weight) });
  }
  return { time, edges };
}

/** The origin of an edge: "" for the page's own; null for one that this page can't talk to, which is no reason to do without the others. */
function originOf(address: string, own: string): string | null {
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return null;
  if (url.origin === own) return '';
  // A page that came by https may not load what comes without.
  return own.startsWith('https:') && url.protocol !== 'https:' ? null : url.origin;
}

/** What a page needs of its surroundings; a test gives its own. */
export interface Surroundings {
  /** The page's own origin: "https://example.org". */
  own: string;
  /** The keys that its own origin publishes. */
  keys: () => Promise<string[]>;
  random: () => number;
  now: () => number;
}

const browser = (): Surroundings => ({
  own: location.origin,
  keys: async () => {
    const response = await fetch('/.well-known/hustings-keys.json');
    if (!response.ok) throw new Error(`the keys can't be had: status ${response.status}`);
    return ((await response.json()) as { keys: string[] }).keys;
  },
  random: Math.random,
  now: Date.now,
});

/** Picks the server to listen to, by the newest list that can be believed, and remembers which failed. */
export class Edges {
  private list: EdgeList = { time: 0, edges: [] };
  private failures = new Map<string, number>();
  private seen = '';
  private keys: Promise<Verifier[] | null> | null = null;
  private learning: Promise<void> = Promise.resolve();

  constructor(private readonly at: Surroundings = browser()) {}

  /**
   * Takes a signed list that `server` gave. One that does not verify is not used;
   * where the browser can't verify, what the page's own server says is believed, as
   * the page itself is, and nothing else.
   */
  learn(note: string | undefined, server: string): void {
    if (!note || note === this.seen) return;
    this.seen = note;
    this.learning = this.learning.then(() => this.take(note, server)).catch(() => {
      // The keys could not be had: the next list, or this one again, is another chance.
      this.keys = null;
      this.seen = '';
    });
  }

  /** Resolves once what was given is verified, or soon. */
  async settled(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([this.learning, new Promise<void>((resolve) => (timer = setTimeout(resolve, SETTLE)))]);
    clearTimeout(timer);
  }

  /** The server to go to now, by weight among those that have not failed lately: "" is the page's own. */
  pick(except?: string): string {
    const whole = this.list.edges.filter((edge) => edge.weight > 0 && edge.url !== except);
    const sound = whole.filter((edge) => !this.failed(edge.url));
    if (sound.length > 0) return this.draw(sound);
    // The page's own comes last where it is not meant to carry listeners. And when all have failed, all are tried again.
    if (except !== '' && !this.failed('')) return '';
    const own = whole.some((edge) => edge.url === '') || except === '' ? [] : [{ url: '', weight: 1 }];
    const all = [...whole, ...own];
    return all.length > 0 ? this.draw(all) : (except ?? '');
  }

  /** Is there another server than this one that has not failed lately? */
  hasOther(server: string): boolean {
    const urls = new Set(['', ...this.list.edges.filter((edge) => edge.weight > 0).map((edge) => edge.url)]);
    urls.delete(server);
    return [...urls].some((url) => !this.failed(url));
  }

  /** A server was not to be reached, refused, or fell silent: it is passed over for a while. */
  lost(server: string): void {
    this.failures.set(server, this.at.now());
  }

  private failed(url: string): boolean {
    const when = this.failures.get(url);
    return when !== undefined && this.at.now() - when < REMEMBER;
  }

  private draw(edges: Edge[]): string {
    let point = this.at.random() * edges.reduce((sum, edge) => sum + edge.weight, 0);
    for (const edge of edges) {
      point -= edge.weight;
      if (point < 0) return edge.url;
    }
    return edges.at(-1)?.url ?? '';
  }

  private async take(note: string, server: string): Promise<void> {
    this.keys ??= this.at.keys().then(verifiers);
    const keys = await this.keys;
    const text = keys ? await open(note, keys) : server === '' ? textOf(note) : null;
    const list = text === null ? null : parseEdges(text, this.at.own);
    // An older list may come later, from a server that is behind.
    if (list && list.time >= this.list.time) this.list = list;
  }
}
