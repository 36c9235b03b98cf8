import mark from '../brand/mark.svg';

/** The name in the top left corner, and the way home. */
export function Wordmark() {
  return (
    <a class="wordmark" href="/">
      <img src={mark} alt="" width="30" height="30" />
      Hustings
    </a>
  );
}
