/** Small changes to session descriptions (RFC 8866) and fragments of them (RFC 8840). Pure. */

const CRLF = '\r\n';

const lines = (sdp: string): string[] => sdp.split(/\r?\n/).filter((line) => line !== '');

/** What is asked of Opus: mono speech that repairs small losses, without pauses in sending. */
const SPEECH: Record<string, string> = { minptime: '10', useinbandfec: '1', stereo: '0', 'sprop-stereo': '0', usedtx: '0' };

/**
 * Asks for speech in Opus, and for lost packets to be sent again (generic NACK,
 * RFC 4585), which browsers do for audio only when told so.
 */
export function mungeOffer(sdp: string): string {
  const all = lines(sdp);
  const payloads = all.map((line) => /^a=rtpmap:(\d+) opus\/48000/i.exec(line)?.[1]).filter((each) => each !== undefined);
  const out: string[] = [];
  for (const line of all) {
    const payload = payloads.find((each) => line.startsWith(`a=fmtp:${each} `));
    if (payload !== undefined) {
      out.push(`a=fmtp:${payload} ${withSpeech(line.slice(line.indexOf(' ') + 1))}`);
      continue;
    }
    out.push(line);
    const mapped = payloads.find((each) => line.startsWith(`a=rtpmap:${each} `));
    if (mapped === undefined) continue;
    const nack = `a=rtcp-fb:${mapped} nack`;
    if (!all.includes(nack)) out.push(nack);
    if (!all.some((each) => each.startsWith(`a=fmtp:${mapped} `))) out.push(`a=fmtp:${mapped} ${withSpeech('')}`);
  }
  return out.join(CRLF) + CRLF;
}

function withSpeech(parameters: string): string {
  const given = parameters.split(';').map((each) => each.trim().split('=') as [string, string?]);
  const kept = given.filter(([key]) => key !== '' && !(key in SPEECH));
  return [...kept, ...Object.entries(SPEECH)].map(([key, value]) => (value === undefined ? key : `${key}=${value}`)).join(';');
}

/** ICE credentials of a description or a fragment; the first, since all is bundled. */
export function credentials(sdp: string): { ufrag: string; pwd: string } | null {
  const ufrag = /^a=ice-ufrag:(\S+)/m.exec(sdp)?.[1];
  const pwd = /^a=ice-pwd:(\S+)/m.exec(sdp)?.[1];
  return ufrag && pwd ? { ufrag, pwd } : null;
}

/** A fragment for PATCH: candidates of the first media section, or new credentials, of the local description. */
export function fragment(local: string, candidates: string[], complete: boolean): string {
  const all = lines(local);
  const own = credentials(local);
  const media = all.find((line) => line.startsWith('m='));
  const mid = all.find((line) => line.startsWith('a=mid:'));
  return (
    [
      ...(own ? [`a=ice-ufrag:${own.ufrag}`, `a=ice-pwd:${own.pwd}`] : []),
      ...(media ? [media] : []),
      ...(mid ? [mid] : []),
      ...candidates.map((candidate) => `a=${candidate}`),
      ...(complete ? ['a=end-of-candidates'] : []),
    ].join(CRLF) + CRLF
  );
}

/** The answer after an ICE restart: the old one with the credentials and candidates of the server's fragment. */
export function restartedAnswer(answer: string, fragmentText: string): string {
  const fresh = credentials(fragmentText);
  if (!fresh) throw new Error('the fragment has no ICE credentials');
  const candidates = lines(fragmentText).filter((line) => line.startsWith('a=candidate:'));
  const out: string[] = [];
  let placed = false;
  for (const line of lines(answer)) {
    if (line.startsWith('a=candidate:') || line === 'a=end-of-candidates') continue;
    if (line.startsWith('a=ice-ufrag:')) out.push(`a=ice-ufrag:${fresh.ufrag}`);
    else if (line.startsWith('a=ice-pwd:')) out.push(`a=ice-pwd:${fresh.pwd}`);
    else out.push(line);
    // Candidates belong into a media section, and with BUNDLE into the first.
    if (line.startsWith('a=mid:') && !placed) {
      out.push(...candidates);
      placed = true;
    }
  }
  return out.join(CRLF) + CRLF;
}
