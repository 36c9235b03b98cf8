import { expect, test } from 'vitest';
import { Address } from './address.ts';
import { Edges } from './edges.ts';

const edges = new Edges({ own: 'https://own.example', keys: async () => [], random: Math.random, now: Date.now });
const address = new Address('a b', 'TOKEN', edges);

test('who begins says nothing of its depth; who comes from elsewhere does, and rather less than more', () => {
  expect(address.pushed('', null)).toBe('/live/a%20b.mp4?follow=1&listener=TOKEN');
  expect(address.pushed('https://a.example', 5.39)).toBe('https://a.example/live/a%20b.mp4?follow=1&listener=TOKEN&depth=5.3');
  expect(address.pushed('', -2)).toContain('&depth=0.1');
});

test('files are named with their codec, and made new where the browser would keep them', () => {
  expect(address.file('', { ext: 'm3u8', codec: 'aac' })).toBe('/live/a%20b.m3u8?codec=aac&listener=TOKEN');
  expect(address.file('https://a.example', { ext: 'ogg' }, 3)).toBe('https://a.example/live/a%20b.ogg?listener=TOKEN&n=3');
  expect(address.pulse('')).toBe('/live/a%20b/pulse');
});
