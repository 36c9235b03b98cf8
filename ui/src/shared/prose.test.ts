import { expect, test } from 'vitest';
import { pieces } from './prose.tsx';

const addresses = (text: string) => pieces(text).filter((piece) => piece.address).map((piece) => piece.text);

test('addresses are found, without what ends the sentence', () => {
  expect(addresses('See https://example.org/a?b=c&d=e, and (http://example.org/x).')).toEqual(['https://example.org/a?b=c&d=e', 'http://example.org/x']);
  expect(addresses('no address: javascript:alert(1) ftp://example.org https://')).toEqual([]);
});

test('nothing of the text is lost', () => {
  for (const text of ['', 'plain', 'https://example.org', 'a\nhttps://example.org/ü b https://b.example!\n']) {
    expect(pieces(text).map((piece) => piece.text).join('')).toBe(text);
  }
});
