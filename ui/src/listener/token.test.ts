import { expect, test } from 'vitest';
import { listenerToken } from './token.ts';

function storage(): Storage {
  const kept = new Map<string, string>();
  return { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) } as unknown as Storage;
}

test('a tab keeps its name for a space, and has another for another space', () => {
  const tab = storage();
  const name = listenerToken('a', () => tab);
  expect(name).toMatch(/^[A-Za-z0-9_-]{22}$/);
  expect(listenerToken('a', () => tab)).toBe(name);
  expect(listenerToken('b', () => tab)).not.toBe(name);
  expect(listenerToken('a', storage)).not.toBe(name);
});

test('what is no name is replaced', () => {
  const tab = storage();
  tab.setItem('hustings.listener.a', 'no name&rehearsal=1');
  expect(listenerToken('a', () => tab)).toMatch(/^[A-Za-z0-9_-]{22}$/);
});

test('without storage there is a name all the same', () => {
  const refuse = () => {
    throw new DOMException('no', 'SecurityError');
  };
  expect(listenerToken('a', refuse)).toMatch(/^[A-Za-z0-9_-]{22}$/);
});
