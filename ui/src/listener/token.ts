/**
 * The name under which a tab listens to a space: random, and kept for as long as the
 * tab, so that a listener is counted once however often the connection is made anew.
 * It says nothing of who listens.
 */
export function listenerToken(id: string, storage: () => Storage = () => sessionStorage): string {
  const key = `hustings.listener.${id}`;
  try {
    const kept = storage().getItem(key);
    if (kept && /^[\w-]{22}$/.test(kept)) return kept;
    const made = make();
    storage().setItem(key, made);
    return made;
  } catch {
    // No storage: then it lasts as long as the page.
    return make();
  }
}

/** 128 random bits in base64url. */
function make(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
