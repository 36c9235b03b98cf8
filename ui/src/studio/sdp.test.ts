import { expect, test } from 'vitest';
import { credentials, fragment, mungeOffer, restartedAnswer } from './sdp.ts';

const OFFER = [
  'v=0',
  'o=- 1 2 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'a=group:BUNDLE 0',
  'm=audio 9 UDP/TLS/RTP/SAVPF 63 111',
  'c=IN IP4 0.0.0.0',
  'a=ice-ufrag:abcd',
  'a=ice-pwd:0123456789012345678901',
  'a=mid:0',
  'a=sendonly',
  'a=rtpmap:63 red/48000/2',
  'a=fmtp:63 111/111',
  'a=rtpmap:111 opus/48000/2',
  'a=rtcp-fb:111 transport-cc',
  'a=fmtp:111 minptime=10;useinbandfec=1',
  '',
].join('\r\n');

test('an offer asks for speech in Opus and for lost packets again', () => {
  const munged = mungeOffer(OFFER);
  expect(munged).toContain('a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 nack\r\n');
  expect(munged).toContain('a=fmtp:111 minptime=10;useinbandfec=1;stereo=0;sprop-stereo=0;usedtx=0\r\n');
  expect(munged).toContain('a=fmtp:63 111/111\r\n');
  expect(munged.split('\r\n').length).toBe(OFFER.split('\r\n').length + 1);
});

test('munging twice changes nothing more', () => {
  expect(mungeOffer(mungeOffer(OFFER))).toBe(mungeOffer(OFFER));
});

test('an Opus without parameters gets them, other parameters stay', () => {
  expect(mungeOffer('a=rtpmap:96 opus/48000/2\r\n')).toBe(
    'a=rtpmap:96 opus/48000/2\r\na=rtcp-fb:96 nack\r\na=fmtp:96 minptime=10;useinbandfec=1;stereo=0;sprop-stereo=0;usedtx=0\r\n',
  );
  expect(mungeOffer('a=rtpmap:96 opus/48000/2\r\na=fmtp:96 maxaveragebitrate=64000;stereo=1\r\n')).toContain(
    'a=fmtp:96 maxaveragebitrate=64000;minptime=10;useinbandfec=1;stereo=0;',
  );
});

test('a fragment names the credentials, the media section and its candidates', () => {
  expect(fragment(OFFER, ['candidate:1 1 udp 1 192.0.2.1 5000 typ host'], true)).toBe(
    [
      'a=ice-ufrag:abcd',
      'a=ice-pwd:0123456789012345678901',
      'm=audio 9 UDP/TLS/RTP/SAVPF 63 111',
      'a=mid:0',
      'a=candidate:1 1 udp 1 192.0.2.1 5000 typ host',
      'a=end-of-candidates',
      '',
    ].join('\r\n'),
  );
});

test('a restart takes the server’s new credentials and candidates into the old answer', () => {
  const answer = OFFER.replace('a=sendonly', 'a=recvonly\r\na=candidate:1 1 udp 1 192.0.2.9 1 typ host\r\na=end-of-candidates');
  const fresh = 'a=ice-ufrag:wxyz\r\na=ice-pwd:9876543210987654321098\r\nm=audio 9 X 0\r\na=mid:0\r\na=candidate:2 1 udp 1 192.0.2.9 2 typ host\r\n';
  const after = restartedAnswer(answer, fresh);
  expect(credentials(after)).toEqual({ ufrag: 'wxyz', pwd: '9876543210987654321098' });
  expect(after.match(/a=candidate:/g)).toHaveLength(1);
  expect(after).toContain('a=mid:0\r\na=candidate:2 1 udp 1 192.0.2.9 2 typ host\r\na=recvonly');
  expect(() => restartedAnswer(answer, 'm=audio 9 X 0\r\n')).toThrow('no ICE credentials');
});
