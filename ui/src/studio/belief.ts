/** Milliseconds that the stage may take to notice a connection that was just made: its last messages may get lost and come again. */
const NEW = 4_000;

/** Milliseconds that a connection may be missing which the stage knew: over a change of networks, say. */
const KNOWN = 500;

/**
 * Weighs the stage's word against what the browser thinks of a connection. After a
 * new start of the server the stage knows at once what the browser takes many
 * seconds to notice; right after joining it is the other way round.
 */
export class Belief {
  private known: object | null = null;

  /**
   * Takes the link that the browser holds for good (null if there is none) and
   * whether the stage says that it is connected (null if the stage says nothing).
   * Returns in how many milliseconds to make a new link, unless the stage says
   * otherwise until then; null when there is nothing to doubt.
   */
  hear(link: object | null, told: boolean | null): number | null {
    if (!link || told === null) return null;
    if (told) {
      this.known = link;
      return null;
    }
    return this.known === link ? KNOWN : NEW;
  }
}
