import { expect, test } from 'vitest';
import { initials } from './person.tsx';

test.each([
  ['Ada Rowe', 'AR'],
  ['Benoît', 'B'],
  ['Thomas, Mill Lane', 'TL'],
  ['You (host)', 'YH'],
  ['  élodie  van der Berg ', 'ÉB'],
  ['!!', ''],
])('initials of %s are %s', (name, letters) => {
  expect(initials(name)).toBe(letters);
});
