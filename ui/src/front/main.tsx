import { render } from 'preact';
import '../styles/base.css';
import './front.css';
import { Programme } from './model.ts';
import { FrontPage } from './page.tsx';

document.title = 'Hustings';
render(<FrontPage at={new Programme()} />, document.getElementById('app') as HTMLElement);
