import type { Edges } from './edges.ts';

/** One file of the programme that a player asks for by itself. */
export interface File {
  ext: 'm3u8' | 'ogg';
  codec?: 'aac';
}

/** Where the programme of a space is, at its server and at each of its edges ("" is the page's own server). */
export class Address {
  private readonly path: string;

  constructor(
    id: string,
    /** Names this listener, so that one who comes again is not counted twice. */
    private readonly listener: string,
    readonly edges: Edges,
  ) {
    this.path = `/live/${encodeURIComponent(id)}`;
  }

  /**
   * The stream that this page takes apart itself: it follows the depth that the server
   * tells. One who comes from elsewhere says how many seconds it is behind the newest
   * sound, so that it is not taken to be as deep as those who begin.
   */
  pushed(server: string, depth: number | null): string {
    const had = depth === null ? '' : `&depth=${(Math.floor(Math.max(0.1, depth) * 10) / 10).toFixed(1)}`;
    return `${server}${this.path}.mp4?follow=1&listener=${this.listener}${had}`;
  }

  /** A file for the audio element; `time` makes it a new address, since browsers answer a known one with what they kept of it. */
  file(server: string, { ext, codec }: File, time?: number): string {
    const query = [codec && `codec=${codec}`, `listener=${this.listener}`, time && `n=${time}`].filter(Boolean);
    return `${server}${this.path}.${ext}?${query.join('&')}`;
  }

  pulse(server: string): string {
    return `${server}${this.path}/pulse`;
  }
}
