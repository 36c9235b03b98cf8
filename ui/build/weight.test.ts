import { resolve } from 'node:path';
import { build } from 'vite';
import { expect, test } from 'vitest';
import { BUDGET, total, weigh, type Files } from './weight.ts';

test('a page is weighed with every asset that it names, once', () => {
  const files: Files = {
    'page.html': { source: '<script src="/assets/a.js"></script><link href="/assets/a.css"><link href="/assets/a.js">' },
    'assets/a.js': { code: 'a'.repeat(5000) },
    'assets/a.css': { source: 'b{}' },
    'assets/other.js': { code: 'not named' },
  };
  expect(weigh('page.html', files).map((weight) => weight.name)).toEqual(['page.html', 'assets/a.js', 'assets/a.css']);
});

test('a page that names what was not built is refused', () => {
  expect(() => weigh('page.html', { 'page.html': { source: '<script src="/assets/gone.js">' } })).toThrow('assets/gone.js');
});

test('the listener page is within its budget', { timeout: 60_000 }, async () => {
  const result = await build({ root: resolve(import.meta.dirname, '..'), logLevel: 'silent', build: { write: false } });
  if (!('output' in result)) throw new Error('expected one build');
  const files: Files = Object.fromEntries(result.output.map((file) => [file.fileName, file]));
  const sum = total(weigh('listener.html', files));
  expect(sum).toBeGreaterThan(5_000);
  expect(sum).toBeLessThan(BUDGET);
});
