import { useSignal } from '@preact/signals';
import { Icon } from '../shared/icons.tsx';

/** Copies a text, and says that it did; where it may not, the text is shown to copy by hand. */
export function CopyButton({ text, label, testid }: { text: string; label: string; testid: string }) {
  const state = useSignal<'idle' | 'copied' | 'refused'>('idle');

  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      state.value = 'copied';
      setTimeout(() => (state.value = 'idle'), 2500);
    } catch {
      state.value = 'refused';
    }
  }

  if (state.value === 'refused') {
    return <input class="input" readOnly value={text} aria-label={`${label}, to copy by hand`} data-testid={`${testid}-text`} onFocus={(event) => event.currentTarget.select()} />;
  }
  const copied = state.value === 'copied';
  return (
    <button class="button" type="button" data-testid={testid} onClick={() => void copy()}>
      <Icon name={copied ? 'check' : 'copy'} size={20} />
      <span aria-live="polite">{copied ? 'Copied' : label}</span>
    </button>
  );
}
