import { render } from 'preact';
import '../styles/base.css';
import './studio.css';
import { idFromPath } from '../shared/space.ts';
import { takeToken } from './entry.ts';
import { Studio } from './model.ts';
import { StudioPage } from './page.tsx';

const id = idFromPath(location.pathname);
// Another invite's link pasted into this tab changes only the fragment: begin anew with it.
addEventListener('hashchange', () => takeToken(id) && location.reload());
document.title = 'Studio · Hustings';
render(<StudioPage at={new Studio(id, takeToken(id))} />, document.getElementById('app') as HTMLElement);
