import { render } from 'preact';
import '../styles/base.css';
import './listener.css';
import { Problem, call } from '../shared/api.ts';
import { embeddedSpace } from '../shared/page.ts';
import { idFromPath, type Space } from '../shared/space.ts';
import { Listening } from './model.ts';
import { ListenerPage, MissingPage } from './page.tsx';

/** The space that the server wrote into the page, or asked for, where it wrote none. */
async function find(id: string): Promise<Space | null> {
  const space = embeddedSpace();
  if (space !== undefined) return space;
  return call<Space>(`/spaces/${id}`).catch((error: unknown) => {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  });
}

const id = idFromPath(location.pathname);
const root = document.getElementById('app') as HTMLElement;
const space = await find(id);
render(space ? <ListenerPage at={new Listening(id, space)} /> : <MissingPage />, root);
