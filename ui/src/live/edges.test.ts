import { expect, test } from 'vitest';
import { Edges, parseEdges, type Surroundings } from './edges.ts';
import { makeSigner } from './signer.test-help.ts';

const OWN = 'https://own.example';

const textOf = (time: string, ...lines: string[]) => ['hustings/edges', time, ...lines, ''].join('\n');

async function make(over: Partial<Surroundings> = {}) {
  const signer = await makeSigner('log.example');
  const clock = { now: 1_000_000 };
  const edges = new Edges({ own: OWN, keys: async () => [signer.verifier], random: Math.random, now: () => clock.now, ...over });
  const give = async (text: string, server = '') => {
    edges.learn(await signer.sign(text), server);
    await edges.settled();
  };
  return { signer, edges, give, clock };
}

/** How often each server is picked. */
function counts(edges: Edges, times = 4000): Record<string, number> {
  const found: Record<string, number> = {};
  for (let i = 0; i < times; i++) {
    const url = edges.pick();
    found[url] = (found[url] ?? 0) + 1;
  }
  return found;
}

test('a list is read as the server writes it', () => {
  const list = parseEdges(textOf('2026-11-21T20:00:00Z', '30 https://a.example', '10 https://b.example:8443', `0 ${OWN}`, '5 http://insecure.example'), OWN);
  expect(list).toEqual({
    time: Date.UTC(2026, 10, 21, 20),
    edges: [
      { url: 'https://a.example', weight: 30 },
      { url: 'https://b.example:8443', weight: 10 },
      { url: '', weight: 0 },
    ],
  });
  expect(parseEdges(textOf('2026-11-21T20:00:00Z', '5 http://lan.example'), 'http://own.example')?.edges).toHaveLength(1);
  for (const text of ['', 'hustings/edges\n', 'other\n2026-11-21T20:00:00Z\n', textOf('yesterday'), textOf('2026-11-21T20:00:00Z', 'https://a.example'), textOf('2026-11-21T20:00:00Z', '-1 https://a.example')]) {
    expect(parseEdges(text, OWN)).toBeNull();
  }
  for (const address of ['javascript:alert(1)', 'data:audio/mp4,x', 'https://10.0.0.256', 'https://a:99999', '//a.example']) {
    expect(parseEdges(textOf('2026-11-21T20:00:00Z', `1000 ${address}`, '30 https://a.example'), OWN)?.edges).toEqual([{ url: 'https://a.example', weight: 30 }]);
  }
});

test('without edges it is the page’s own server', async () => {
  const { edges } = await make();
  expect([edges.pick(), edges.hasOther('')]).toEqual(['', false]);
  edges.learn(undefined, '');
  edges.lost('');
  expect(edges.pick()).toBe('');
});

test('picks follow the weights', async () => {
  const { edges, give } = await make();
  await give(textOf('2026-11-21T20:00:00Z', '60 https://a.example', '30 https://b.example', `10 ${OWN}`, '0 https://idle.example'));
  const found = counts(edges);
  expect(Object.keys(found).sort()).toEqual(['', 'https://a.example', 'https://b.example']);
  expect(found['https://a.example']! / 4000).toBeCloseTo(0.6, 1);
  expect(found['']! / 4000).toBeCloseTo(0.1, 1);
});

test('failures are remembered for half a minute; the own server of weight 0 comes last', async () => {
  const { edges, give, clock } = await make();
  await give(textOf('2026-11-21T20:00:00Z', '2 https://a.example', '1 https://b.example', `0 ${OWN}`));
  edges.lost('https://a.example');
  expect(counts(edges, 50)).toEqual({ 'https://b.example': 50 });
  expect(edges.hasOther('https://b.example')).toBe(true);
  edges.lost('https://b.example');
  expect(counts(edges, 50)).toEqual({ '': 50 });
  edges.lost('');
  // All have failed: all are tried, rather than none.
  expect(Object.keys(counts(edges)).sort()).toEqual(['', 'https://a.example', 'https://b.example']);
  expect(edges.hasOther('')).toBe(false);
  clock.now += 31_000;
  expect(Object.keys(counts(edges)).sort()).toEqual(['https://a.example', 'https://b.example']);
});

test('another one is picked than that which is asked to be left out', async () => {
  const { edges, give } = await make();
  await give(textOf('2026-11-21T20:00:00Z', '1000 https://a.example', '1 https://b.example'));
  for (let i = 0; i < 50; i++) expect(edges.pick('https://a.example')).toBe('https://b.example');
});

test('a list that does not verify is not used, whoever gave it', async () => {
  const { edges, give } = await make();
  await give(textOf('2026-11-21T20:00:00Z', '1 https://a.example'));
  const stranger = await makeSigner('log.example');
  edges.learn(await stranger.sign(textOf('2026-11-21T21:00:00Z', '1 https://evil.example')), '');
  await edges.settled();
  expect(counts(edges, 50)).toEqual({ 'https://a.example': 50 });
});

test('an older list does not replace a newer one', async () => {
  const { edges, give } = await make();
  await give(textOf('2026-11-21T20:00:10Z', '1 https://new.example'));
  await give(textOf('2026-11-21T20:00:00Z', '1 https://old.example'), 'https://new.example');
  expect(edges.pick()).toBe('https://new.example');
});

test('a browser that can’t verify believes its own server only', async () => {
  const { importKey } = crypto.subtle;
  const signer = await makeSigner('log.example');
  crypto.subtle.importKey = () => Promise.reject(new DOMException('no', 'NotSupportedError'));
  try {
    const { edges } = await make();
    edges.learn(await signer.sign(textOf('2026-11-21T21:00:00Z', '1 https://b.example')), 'https://a.example');
    await edges.settled();
    expect(edges.pick()).toBe('');
    edges.learn(await signer.sign(textOf('2026-11-21T20:00:00Z', '1 https://a.example')), '');
    await edges.settled();
    expect(edges.pick()).toBe('https://a.example');
  } finally {
    crypto.subtle.importKey = importKey;
  }
});

test('keys that could not be had are asked for again with the next list', async () => {
  const signer = await makeSigner('log.example');
  let asked = 0;
  const { edges } = await make({
    keys: async () => {
      if (asked++ === 0) throw new TypeError('network');
      return [signer.verifier];
    },
  });
  const note = await signer.sign(textOf('2026-11-21T20:00:00Z', '1 https://a.example'));
  edges.learn(note, '');
  await edges.settled();
  expect(edges.pick()).toBe('');
  edges.learn(note, '');
  await edges.settled();
  expect(edges.pick()).toBe('https://a.example');
});
