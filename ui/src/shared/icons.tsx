/** Icons of one family: 24 units square, drawn with round strokes. They say nothing to a screen reader; labels do. */

const PATHS = {
  play: 'M8 5.5v13l10.5-6.5z',
  stop: 'M7.5 7.5h9v9h-9z',
  pause: 'M8.5 6v12M15.5 6v12',
  sound: 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11',
  silent: 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5',
  mic: 'M12 4a2.7 2.7 0 0 0-2.7 2.7v5a2.7 2.7 0 0 0 5.4 0v-5A2.7 2.7 0 0 0 12 4zM6 11.5a6 6 0 0 0 12 0M12 17.5V21',
  micOff: 'M9.3 9.3v2.4a2.7 2.7 0 0 0 4.2 2.2M14.7 11V6.7a2.7 2.7 0 0 0-5.1-1.2M6 11.5a6 6 0 0 0 9.5 4.9M18 11.5a6 6 0 0 1-.6 2.6M12 17.5V21M4 4l16 16',
  people: 'M9 11.5a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zM3 19c.4-3 2.8-4.8 6-4.8s5.6 1.8 6 4.8M15.5 5.5a3 3 0 0 1 0 5.7M17.5 14.6c2 .6 3.2 2.1 3.5 4.4',
  back: 'M4.5 12a7.5 7.5 0 1 0 2.4-5.5M7 3v4h4',
  forward: 'M19.5 12a7.5 7.5 0 1 1-2.4-5.5M17 3v4h-4',
  copy: 'M9 9h10.5v10.5H9zM5.5 15H4.5V4.5H15v1',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  attention: 'M12 9.5v4M12 16.8v.01M12 4l9 15.5H3z',
  leave: 'M14 5H6v14h8M11 12h9.5M17 8.5l3.5 3.5-3.5 3.5',
} as const;

export type IconName = keyof typeof PATHS;

const FILLED: ReadonlySet<IconName> = new Set(['play', 'stop']);

export function Icon({ name, size = 22 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill={FILLED.has(name) ? 'currentColor' : 'none'}
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
