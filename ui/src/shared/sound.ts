/**
 * An audio element without controls of its own, in the document: there the
 * system's media keys, tools and tests find it.
 */
export function soundElement(testid: string): HTMLAudioElement {
  const audio = document.createElement('audio');
  audio.hidden = true;
  audio.dataset.testid = testid;
  document.body.append(audio);
  return audio;
}
