/** Times as people read them. Pure: the clock, locale and time zone are given where they matter. */

export interface Countdown {
  days: number;
  hours: number;
  minutes: number;
  seconds: number;
}

/** Splits a time to come; a time that has passed gives null. */
export function countdown(ms: number): Countdown | null {
  if (!(ms > 0)) return null;
  const total = Math.ceil(ms / 1000);
  return {
    days: Math.floor(total / 86_400),
    hours: Math.floor(total / 3600) % 24,
    minutes: Math.floor(total / 60) % 60,
    seconds: total % 60,
  };
}

const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`;

/** A countdown in words, in its two largest units: "2 days and 3 hours". */
export function countdownWords(parts: Countdown): string {
  const units: [number, string][] = [
    [parts.days, 'day'],
    [parts.hours, 'hour'],
    [parts.minutes, 'minute'],
    [parts.seconds, 'second'],
  ];
  const first = units.findIndex(([n]) => n > 0);
  return units
    .slice(first, first + 2)
    .filter(([n]) => n > 0)
    .map(([n, word]) => plural(n, word))
    .join(' and ');
}

/** Seconds as a clock: 0:07, 12:34, 1:02:03. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds || 0));
  const h = Math.floor(whole / 3600);
  const m = Math.floor(whole / 60) % 60;
  const s = String(whole % 60).padStart(2, '0');
  return h > 0 ? `${h}:${String(m).padStart(2, '0')}:${s}` : `${m}:${s}`;
}

/** Seconds in words for a screen reader: "1 hour 2 minutes 3 seconds". */
export function clockWords(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds || 0));
  const parts: [number, string][] = [
    [Math.floor(whole / 3600), 'hour'],
    [Math.floor(whole / 60) % 60, 'minute'],
    [whole % 60, 'second'],
  ];
  const shown = parts.filter(([n]) => n > 0).map(([n, word]) => plural(n, word));
  return shown.length > 0 ? shown.join(' ') : '0 seconds';
}

/** A moment with its day and time zone: "Saturday, 21 November at 20:00 CET". */
export function when(iso: string, locale?: string, timeZone?: string): string {
  const date = new Date(iso);
  const day = date.toLocaleDateString(locale, { weekday: 'long', day: 'numeric', month: 'long', timeZone });
  return `${day} at ${timeOfDay(iso, locale, timeZone)}`;
}

/** A time of day with its zone. */
export function timeOfDay(iso: string, locale?: string, timeZone?: string): string {
  return new Date(iso).toLocaleTimeString(locale, { hour: 'numeric', minute: '2-digit', timeZoneName: 'short', timeZone });
}

/** A day without its time, for what is past. */
export function day(iso: string, locale?: string, timeZone?: string): string {
  return new Date(iso).toLocaleDateString(locale, { day: 'numeric', month: 'long', year: 'numeric', timeZone });
}

/** The value of an <input type="datetime-local"> for a moment, in local time. */
export function toLocalInput(date: Date): string {
  const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}

/** The moment that an <input type="datetime-local"> means, as RFC 3339; null when it is empty or no time. */
export function fromLocalInput(value: string): string | null {
  const date = new Date(value);
  return value && !Number.isNaN(date.getTime()) ? date.toISOString() : null;
}

/** A count of people: 1,204; from ten thousand on shortened: 12.3K. */
export function count(n: number, locale?: string): string {
  return n < 10_000
    ? n.toLocaleString(locale)
    : n.toLocaleString(locale, { notation: 'compact', maximumFractionDigits: 1 });
}
