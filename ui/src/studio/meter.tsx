import { useRef } from 'preact/hooks';
import { useSignalEffect, type ReadonlySignal } from '@preact/signals';

/** Below this nothing is shown; at 0 dBFS the bar is full. */
const FLOOR = -60;

/** A loudness in dBFS as a part of the bar, 0 to 1. */
export function fraction(level: number): number {
  return Math.min(1, Math.max(0, (level - FLOOR) / -FLOOR));
}

/** A bar of loudness. It is moved past the renderer, since it moves many times a second. */
export function Meter({ level, label, testid }: { level: ReadonlySignal<number>; label: string; testid: string }) {
  const bar = useRef<HTMLSpanElement>(null);
  useSignalEffect(() => {
    const part = fraction(level.value);
    if (!bar.current) return;
    bar.current.style.transform = `scaleX(${part.toFixed(3)})`;
    bar.current.parentElement?.setAttribute('data-hot', String(level.value > -3));
    bar.current.parentElement?.setAttribute('data-level', level.value.toFixed(0));
  });
  return (
    <span class="meter" role="img" aria-label={label} data-testid={testid}>
      <span ref={bar} />
    </span>
  );
}
