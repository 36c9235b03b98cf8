import { Problem, problemOf } from '../shared/api.ts';
import { fragment, mungeOffer, restartedAnswer } from './sdp.ts';

/** Milliseconds until a connection must stand, and until a shaky one is restarted. */
const CONNECT = 12_000;
const SHAKY = 2_500;

/** Candidates found within this time go in one PATCH. */
const GATHER = 100;

export interface LinkOptions {
  /** The WHIP or WHEP address. */
  url: string;
  token: string;
  /** What to send, or null for silence until there is a microphone; without it the link receives. */
  track?: MediaStreamTrack | null;
  /** Told when the way is shaky (and a restart under way), and when it is well again. */
  onShaky: (shaky: boolean) => void;
}

/**
 * One connection to the stage: WHIP (RFC 9725) to speak, WHEP to hear. It repairs
 * itself by an ICE restart, when the network changes say; what can't be repaired
 * is `gone`, and the owner makes a new one.
 */
export class Link {
  /** Resolves when the connection is beyond repair, or closed. */
  readonly gone: Promise<void>;
  /** What is heard over it, for a link that receives. */
  readonly heard = new MediaStream();

  private readonly pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  private resource = '';
  private etag = '';
  private found: string[] = [];
  private sending: Promise<void> = Promise.resolve();
  private gatherTimer = 0;
  private shakyTimer = 0;
  private restarting = false;
  private giveUp: () => void = () => {};

  private constructor(private readonly options: LinkOptions) {
    this.gone = new Promise((resolve) => (this.giveUp = resolve));
    this.pc.addEventListener('icecandidate', (event) => this.gathered(event.candidate));
    this.pc.addEventListener('connectionstatechange', () => this.changed());
    this.pc.addEventListener('track', (event) => this.heard.addTrack(event.track));
  }

  /** Connects; throws a Problem when the server refuses or no way is found. */
  static async open(options: LinkOptions, signal: AbortSignal): Promise<Link> {
    const link = new Link(options);
    try {
      await link.negotiate(signal);
      await link.connected(signal);
      return link;
    } catch (error) {
      link.close();
      throw error;
    }
  }

  /** Sends another track from now on, or none, without a new connection. */
  async replaceTrack(track: MediaStreamTrack | null): Promise<void> {
    // A connection that is closed meanwhile takes none; the next one begins with it.
    await this.pc.getSenders()[0]?.replaceTrack(track).catch(() => {});
  }

  /** Leaves. The server is told, even while the page goes away, unless it was the server who ended it. */
  close(tell = true): void {
    clearTimeout(this.gatherTimer);
    clearTimeout(this.shakyTimer);
    // First the word, then the silence: by a silent connection the server would take the seat for lost.
    const told = tell && this.resource ? this.send('DELETE') : Promise.resolve();
    void Promise.allSettled([told]).then(() => this.pc.close());
    this.resource = '';
    this.giveUp();
  }

  private async negotiate(signal: AbortSignal): Promise<void> {
    const { track, url } = this.options;
    const transceiver = this.pc.addTransceiver(track ?? 'audio', { direction: track === undefined ? 'recvonly' : 'sendonly' });
    preferRed(transceiver);
    await this.setOffer(await this.pc.createOffer());
    const response = await this.request(url, 'POST', 'application/sdp', this.pc.localDescription?.sdp ?? '', {}, signal);
    const location = response.headers.get('Location');
    if (!location) throw new Problem(response.status, 'The stage gave no address for this connection. Try again.');
    this.resource = new URL(location, new URL(url, window.location.href)).href;
    this.etag = response.headers.get('ETag') ?? '';
    await this.pc.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    this.trickle(false);
  }

  /** Some browsers take no changed offer; then theirs is sent as it is. */
  private async setOffer(offer: RTCSessionDescriptionInit): Promise<void> {
    try {
      await this.pc.setLocalDescription({ type: 'offer', sdp: mungeOffer(offer.sdp ?? '') });
    } catch {
      await this.pc.setLocalDescription(offer);
    }
  }

  private connected(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = () => {
        if (this.pc.connectionState === 'connected') resolve();
        if (this.pc.connectionState === 'failed') reject(noWay());
      };
      this.pc.addEventListener('connectionstatechange', check);
      signal.addEventListener('abort', () => reject(signal.reason));
      setTimeout(() => reject(noWay()), CONNECT);
      check();
    });
  }

  private changed(): void {
    clearTimeout(this.shakyTimer);
    const state = this.pc.connectionState;
    if (state === 'connected') {
      this.restarting = false;
      this.options.onShaky(false);
    } else if (state === 'disconnected' && !this.restarting) {
      this.options.onShaky(true);
      this.shakyTimer = window.setTimeout(() => void this.restart(), SHAKY);
    } else if (state === 'failed') {
      this.options.onShaky(true);
      // One try to repair; what fails during it is beyond repair.
      if (this.restarting) this.giveUp();
      else void this.restart();
    }
  }

  /** An ICE restart (RFC 9725, section 4.3.3): new ways for the same connection. */
  private async restart(): Promise<void> {
    this.restarting = true;
    this.shakyTimer = window.setTimeout(() => this.giveUp(), CONNECT);
    try {
      const old = this.pc.remoteDescription?.sdp ?? '';
      await this.setOffer(await this.pc.createOffer({ iceRestart: true }));
      const local = this.pc.localDescription?.sdp ?? '';
      const response = await this.send('PATCH', fragment(local, [], false), '*');
      this.etag = response.headers.get('ETag') ?? this.etag;
      await this.pc.setRemoteDescription({ type: 'answer', sdp: restartedAnswer(old, await response.text()) });
      this.trickle(false);
    } catch (error) {
      // A server that was started anew knows nothing of this connection, and need not be told of its end.
      if (error instanceof Problem && error.status === 404) this.resource = '';
      this.giveUp();
    }
  }

  private gathered(candidate: RTCIceCandidate | null): void {
    if (candidate?.candidate) this.found.push(candidate.candidate);
    clearTimeout(this.gatherTimer);
    if (candidate) this.gatherTimer = window.setTimeout(() => this.trickle(false), GATHER);
    else this.trickle(true);
  }

  /** Sends candidates found so far, in order. The server can do without: it also learns our address from our checks. */
  private trickle(complete: boolean): void {
    if (!this.resource || this.found.length === 0 || this.pc.signalingState !== 'stable') return;
    const body = fragment(this.pc.localDescription?.sdp ?? '', this.found.splice(0), complete);
    this.sending = this.sending.then(() => this.send('PATCH', body, this.etag)).then(
      () => {},
      () => {},
    );
  }

  private send(method: 'PATCH' | 'DELETE', body?: string, ifMatch?: string): Promise<Response> {
    const headers: Record<string, string> = ifMatch ? { 'If-Match': ifMatch } : {};
    return this.request(this.resource, method, 'application/trickle-ice-sdpfrag', body, headers);
  }

  private async request(
    url: string,
    method: string,
    type: string,
    body: string | undefined,
    headers: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<Response> {
    const all: Record<string, string> = { ...headers, Authorization: `Bearer ${this.options.token}` };
    if (body !== undefined) all['Content-Type'] = type;
    let response: Response;
    try {
      response = await fetch(url, { method, headers: all, body, signal, keepalive: method === 'DELETE' });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Problem(0, 'The server did not answer');
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  }
}

const noWay = () =>
  new Problem(0, 'No way to the stage was found: a firewall may be in between. Try another network, or ask for UDP to be let through');

/** Opus with redundancy first (RFC 2198), which hides most losses, then plain Opus, and nothing else. */
function preferRed(transceiver: RTCRtpTransceiver): void {
  // Not every browser has these, or RED; then its own order will do.
  const known = RTCRtpReceiver.getCapabilities?.('audio')?.codecs ?? [];
  const of = (type: string) => known.filter((codec) => codec.mimeType.toLowerCase() === type);
  const [red, opus] = [of('audio/red'), of('audio/opus')];
  if (opus.length === 0 || !('setCodecPreferences' in transceiver)) return;
  try {
    transceiver.setCodecPreferences([...red, ...opus]);
  } catch {
    transceiver.setCodecPreferences([]);
  }
}
