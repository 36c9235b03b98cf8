import { expect, test } from 'vitest';
import { inOrder, type Role } from './space.ts';

const seat = (id: string, role: Role, name: string) => ({ id, role, name });

test('hosts come first, then cohosts, speakers and callers, each by name, whatever order they came in', () => {
  const seats = [seat('1', 'speaker', 'Zoë'), seat('2', 'caller', 'Ann'), seat('3', 'host', 'Ruth'), seat('4', 'speaker', 'Élodie'), seat('5', 'cohost', 'Bo')];
  const order = inOrder(seats).map((each) => each.name);
  expect(order).toEqual(['Ruth', 'Bo', 'Élodie', 'Zoë', 'Ann']);
  expect(inOrder(seats.toReversed()).map((each) => each.name)).toEqual(order);
});

test('two of one name keep their places', () => {
  expect(inOrder([seat('b', 'speaker', 'Sam'), seat('a', 'speaker', 'Sam')]).map((each) => each.id)).toEqual(['a', 'b']);
});
