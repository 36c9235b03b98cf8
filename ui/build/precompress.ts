import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';

/** Compresses as the server will send it: assets are built once and served often. */
export function brotli(bytes: Uint8Array): Uint8Array {
  return brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } });
}

/** Gzip at its best level. */
export function gzip(bytes: Uint8Array): Uint8Array {
  return gzipSync(bytes, { level: 9 });
}

const COMPRESSIBLE = /\.(js|css|svg)$/;

/**
 * Writes a .br and a .gz beside each asset, so that the server compresses nothing
 * itself. Pages are left out: the server fills in their placeholders.
 */
export function precompress(): Plugin {
  return {
    name: 'hustings-precompress',
    apply: 'build',
    async writeBundle(options, bundle) {
      const assets = Object.keys(bundle).filter((name) => COMPRESSIBLE.test(name));
      await Promise.all(
        assets.map(async (name) => {
          const path = join(options.dir ?? 'dist', name);
          const bytes = await readFile(path);
          await Promise.all([writeFile(`${path}.br`, brotli(bytes)), writeFile(`${path}.gz`, gzip(bytes))]);
        }),
      );
    },
  };
}
