/**
 * The invite's token comes in the link's fragment, which no server sees. It is
 * moved into the tab's session storage and out of the address bar: there it
 * survives a reload, and who copies the address, or shares the screen, gives no
 * seat away.
 */
export function takeToken(id: string, storage = sessionStorage): string | null {
  const key = `hustings.token.${id}`;
  const given = tokenIn(location.hash);
  if (given) {
    storage.setItem(key, given);
    history.replaceState(null, '', location.pathname + location.search);
  }
  return given ?? storage.getItem(key);
}

/** Keeps a token that was made for this tab. */
export function keepToken(id: string, token: string): void {
  sessionStorage.setItem(`hustings.token.${id}`, token);
}

/** A token that opens nothing any more is not tried again. */
export function dropToken(id: string): void {
  sessionStorage.removeItem(`hustings.token.${id}`);
}

/** The token in a fragment like "#token=abc". */
export function tokenIn(hash: string): string | null {
  return new URLSearchParams(hash.replace(/^#/, '')).get('token') || null;
}
