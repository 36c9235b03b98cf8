import type { RefObject } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

/**
 * Takes over the focus, if the control that had it went away when this one came:
 * else the keyboard would start again at the top of the page.
 */
export function useFocusLeft<E extends HTMLElement>(): RefObject<E | null> {
  const control = useRef<E>(null);
  useEffect(() => {
    if (document.activeElement === document.body) control.current?.focus({ preventScroll: true });
  }, []);
  return control;
}
