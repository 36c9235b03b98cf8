import { useSignal } from '@preact/signals';
import { useEffect, useId, useRef } from 'preact/hooks';

interface Props {
  label: string;
  title: string;
  detail: string;
  yes: string;
  no: string;
  testid: string;
  act: () => Promise<void>;
}

/** A button for what can't be undone, and the question before it. The safe answer has the focus. */
export function Confirm({ label, title, detail, yes, no, testid, act }: Props) {
  const asking = useSignal(false);
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    if (asking.value) dialog.current?.showModal();
    else dialog.current?.close();
  }, [asking.value]);
  return (
    <>
      <button class="button" data-kind="danger" type="button" data-testid={testid} onClick={() => (asking.value = true)}>
        {label}
      </button>
      <dialog class="dialog" ref={dialog} aria-labelledby={id} onClose={() => (asking.value = false)} data-testid={`${testid}-dialog`}>
        <div class="stack">
          <h2 id={id}>{title}</h2>
          <p class="soft">{detail}</p>
          <div class="row">
            <button class="button" type="button" data-testid={`${testid}-no`} autoFocus onClick={() => (asking.value = false)}>
              {no}
            </button>
            <button
              class="button"
              data-kind="live"
              type="button"
              data-testid={`${testid}-yes`}
              onClick={() => {
                asking.value = false;
                void act();
              }}
            >
              {yes}
            </button>
          </div>
        </div>
      </dialog>
    </>
  );
}
