/**
 * Splits an endless fragmented MP4 (ISO/IEC 14496-12) into its top-level boxes as
 * the bytes come in, whatever chunks the network cut them into.
 */

export interface Box {
  /** Four characters: "moof". */
  type: string;
  /** The whole box, header included. */
  bytes: Uint8Array;
  /** Length of the header: 8, or 16 with a 64-bit size. */
  header: number;
}

/** A live fragment is a few kilobytes; anything near this is not our stream. */
const LARGEST = 4 << 20;

export class BoxSplitter {
  private rest = new Uint8Array(0);

  /** Takes the next bytes and returns the boxes that they complete. Throws on what is no box. */
  push(chunk: Uint8Array): Box[] {
    let bytes = this.rest.length === 0 ? chunk : concat([this.rest, chunk]);
    const boxes: Box[] = [];
    for (;;) {
      const box = firstBox(bytes);
      if (!box) break;
      boxes.push(box);
      bytes = bytes.subarray(box.bytes.length);
    }
    // A copy, since the chunk may be a view of a large network buffer.
    this.rest = bytes.slice();
    return boxes;
  }
}

function firstBox(bytes: Uint8Array): Box | null {
  if (bytes.length < 8) return null;
  const view = viewOf(bytes);
  let size = view.getUint32(0);
  let header = 8;
  const type = fourCC(bytes, 4);
  if (size === 1) {
    if (bytes.length < 16) return null;
    size = Number(view.getBigUint64(8));
    header = 16;
  }
  // Size 0, "up to the end", has no meaning in a stream without one.
  if (size < header || size > LARGEST || !/^[\x20-\x7e]{4}$/.test(type)) {
    throw new Error(`not a box: type ${JSON.stringify(type)}, size ${size}`);
  }
  return bytes.length < size ? null : { type, bytes: bytes.subarray(0, size), header };
}

/** The boxes inside a box, from `start` on; for the small boxes of a fragment. */
export function children(box: Box, start = box.header): Box[] {
  const found: Box[] = [];
  let rest = box.bytes.subarray(start);
  for (let next = firstBox(rest); next; next = firstBox(rest)) {
    found.push(next);
    rest = rest.subarray(next.bytes.length);
  }
  return found;
}

/** A view of exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Joins byte strings. */
export function concat(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function fourCC(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}
