/** An address in a text, without the punctuation that ends its sentence. */
const ADDRESS = /https?:\/\/[^\s<>"]*[^\s<>".,;:!?)\]}'’]/g;

/** A text and what of it are addresses, in order. */
export function pieces(text: string): { text: string; address: boolean }[] {
  const found: { text: string; address: boolean }[] = [];
  let from = 0;
  for (const match of text.matchAll(ADDRESS)) {
    if (match.index > from) found.push({ text: text.slice(from, match.index), address: false });
    found.push({ text: match[0], address: true });
    from = match.index + match[0].length;
  }
  if (from < text.length) found.push({ text: text.slice(from), address: false });
  return found;
}

/** A text that a person wrote: its lines are kept, its addresses can be followed. */
export function Prose({ text }: { text: string }) {
  return (
    <p class="prose" dir="auto">
      {pieces(text).map((piece) =>
        piece.address ? (
          <a href={piece.text} rel="noopener nofollow ugc" target="_blank">
            {piece.text}
          </a>
        ) : (
          piece.text
        ),
      )}
    </p>
  );
}
