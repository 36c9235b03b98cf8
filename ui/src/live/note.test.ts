import { webcrypto } from 'node:crypto';
import { expect, test } from 'vitest';
import { open, textOf, verifiers } from './note.ts';
import { makeSigner } from './signer.test-help.ts';

test('what a key has signed is opened, and nothing else', async () => {
  const ours = await makeSigner('log.example');
  const theirs = await makeSigner('log.example');
  const keys = (await verifiers([ours.verifier]))!;
  const text = 'hustings/edges\n2026-11-21T20:00:00Z\n5 https://a.example\n';
  const note = await ours.sign(text);
  expect(await open(note, keys)).toBe(text);
  expect(await open(await theirs.sign(text), keys)).toBeNull();
  expect(await open(note.replace('5 https', '9 https'), keys)).toBeNull();
  // Signed by both, ours second.
  const both = (await theirs.sign(text)) + note.slice(note.indexOf('\n\n') + 2);
  expect(await open(both, keys)).toBe(text);
});

test('the form is that of golang.org/x/mod/sumdb/note', async () => {
  // Made by note.Sign with the key of the note package's own documentation.
  const verifier = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
  const note =
    'If you think cryptography is the answer to your problem,\nthen you don\'t know what your problem is.\n\n' +
    '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
  const keys = (await verifiers([verifier]))!;
  expect(keys.map(({ name, hash }) => ({ name, hash }))).toEqual([{ name: 'PeterNeumann', hash: 'c74f20a3' }]);
  expect(await open(note, keys)).toContain('know what your problem is.\n');
});

test('what is no note and what is no key is passed over', async () => {
  const { verifier } = await makeSigner('log.example');
  const keys = (await verifiers([verifier, 'no key', 'a+00000000+!!!', 'a+00000000+AQ==']))!;
  expect(keys).toHaveLength(1);
  for (const text of ['', '\n\n', 'text only\n', 'text\n\n— log.example', 'text\n\n— log.example AAAA\n', 'text\n\n— log.example !!!!\n']) {
    expect(await open(text, keys)).toBeNull();
  }
  expect(textOf('text\n\n— someone AAAA\n')).toBe('text\n');
  expect(textOf('text')).toBeNull();
});

test('a browser without Ed25519 says that it can’t verify', async () => {
  const { verifier } = await makeSigner('log.example');
  const { importKey } = webcrypto.subtle;
  webcrypto.subtle.importKey = () => Promise.reject(new DOMException('no', 'NotSupportedError'));
  try {
    expect(await verifiers([verifier])).toBeNull();
  } finally {
    webcrypto.subtle.importKey = importKey;
  }
});
