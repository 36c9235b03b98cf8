/**
 * Signed notes, as golang.org/x/mod/sumdb/note has them: a text, an empty line, and
 * lines "— NAME BASE64" with the key's hash (4 bytes) and its Ed25519 signature.
 */

/** A public key that a note may be signed with: "NAME+HASH+BASE64" in the list of a server's keys. */
export interface Verifier {
  name: string;
  /** Hexadecimal. */
  hash: string;
  key: CryptoKey;
}

/** The algorithm's number, before the 32 bytes of a key. */
const ED25519 = 1;

/** Takes those keys of a server's list that it can; null where this browser can't verify (no Ed25519, or a page without https). */
export async function verifiers(keys: string[]): Promise<Verifier[] | null> {
  const { subtle } = globalThis.crypto ?? {};
  if (!subtle) return null;
  const taken: Verifier[] = [];
  for (const text of keys) {
    // Base64 has a "+" of its own, so only the first two part anything.
    const [, name, hash, encoded] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text) ?? [];
    const bytes = encoded ? decode(encoded) : null;
    if (!name || !hash || bytes?.length !== 33 || bytes[0] !== ED25519) continue;
    try {
      taken.push({ name, hash, key: await subtle.importKey('raw', bytes.slice(1), 'Ed25519', false, ['verify']) });
    } catch {
      return null;
    }
  }
  return taken;
}

/** The text of a note, if one of the keys has signed it; null otherwise. */
export async function open(note: string, keys: Verifier[]): Promise<string | null> {
  const parts = split(note);
  if (!parts) return null;
  for (const line of parts.signatures) {
    const [, name, encoded] = /^— (\S+) (\S+)$/.exec(line) ?? [];
    const bytes = encoded ? decode(encoded) : null;
    if (!name || bytes?.length !== 4 + 64) continue;
    const signer = keys.find((each) => each.name === name && each.hash === hex(bytes.subarray(0, 4)));
    if (!signer) continue;
    const text = new TextEncoder().encode(parts.text);
    if (await crypto.subtle.verify('Ed25519', signer.key, bytes.slice(4), text)) return parts.text;
  }
  return null;
}

/** The text of a note, whoever signed it; null if it is none. */
export function textOf(note: string): string | null {
  return split(note)?.text ?? null;
}

function split(note: string): { text: string; signatures: string[] } | null {
  const at = note.lastIndexOf('\n\n');
  if (at < 0 || !note.endsWith('\n')) return null;
  return { text: note.slice(0, at + 1), signatures: note.slice(at + 2, -1).split('\n') };
}

function decode(base64: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  } catch {
    return null;
  }
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
