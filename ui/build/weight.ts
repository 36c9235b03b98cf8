import type { Plugin } from 'vite';
import { brotli, gzip } from './precompress.ts';

/** What the listener's page may weigh up to the first sound, in bytes over the wire. */
export const BUDGET = 40_000;

/** What one file weighs over the wire. */
export interface Weight {
  name: string;
  brotli: number;
  gzip: number;
}

/** The part of a bundle that is weighed: names and contents. */
export type Files = Record<string, { code: string } | { source: string | Uint8Array }>;

/**
 * Weighs a page and every asset that it names: scripts, the modules that they
 * import (as preloads), and style sheets.
 */
export function weigh(page: string, files: Files): Weight[] {
  const html = text(files, page);
  const assets = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((match) => match[1] as string);
  return [page, ...new Set(assets)].map((name) => {
    const bytes = new TextEncoder().encode(text(files, name));
    return { name, brotli: brotli(bytes).length, gzip: gzip(bytes).length };
  });
}

/** Sums weights by the larger encoding, which every browser takes. */
export function total(weights: Weight[]): number {
  return weights.reduce((sum, weight) => sum + weight.gzip, 0);
}

function text(files: Files, name: string): string {
  const file = files[name];
  if (!file) throw new Error(`${name} is not in the build`);
  const content = 'code' in file ? file.code : file.source;
  return typeof content === 'string' ? content : new TextDecoder().decode(content);
}

/** Prints what the listener's page weighs, and fails a build that is over its budget. */
export function weighListener(): Plugin {
  return {
    name: 'hustings-weight',
    apply: 'build',
    // After the pages are written into the bundle, which Vite does in a late hook of its own.
    enforce: 'post',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        const weights = weigh('listener.html', bundle);
        const sum = total(weights);
        for (const weight of weights) this.info(`${weight.name}: ${weight.brotli} B brotli, ${weight.gzip} B gzip`);
        this.info(`listener page to the first sound: ${sum} B of ${BUDGET} B (gzip)`);
        if (sum > BUDGET) this.error(`the listener page weighs ${sum} B; its budget is ${BUDGET} B`);
      },
    },
  };
}
