import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';
import { precompress } from './build/precompress.ts';
import { weighListener } from './build/weight.ts';

const page = (name: string) => resolve(import.meta.dirname, `${name}.html`);

// The API to develop against: a server started by hand, `make run` say.
const server = process.env.HUSTINGS_DEV_SERVER ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [precompress(), weighListener()],
  build: {
    target: 'es2022',
    // Every asset is a file of its own: the pages' content security policy allows no data: URLs.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: { front: page('index'), listener: page('listener'), studio: page('studio') } },
  },
  server: { proxy: { '/api': server, '/live': server, '/recordings': server } },
  test: { include: ['src/**/*.test.ts', 'build/**/*.test.ts'] },
});
