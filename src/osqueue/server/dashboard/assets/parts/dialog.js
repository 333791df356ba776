// Dialogs, by the browser's own element: it keeps the focus inside, and Escape closes it.

import { html, useEffect, useId, useReducer, useRef } from "./html.js";
import { Button } from "./button.js";

const listeners = new Set();
let open = [];
let count = 0;

/** A dialog while it is drawn. `onClose` is called when it is to go. */
export function Dialog({ title, onClose, children, kind }) {
  const element = useRef();
  const id = useId();
  useEffect(() => {
    const dialog = element.current;
    const before = document.activeElement;
    dialog.showModal();
    return () => {
      dialog.close();
      before?.focus?.();
    };
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  const click = (event) => event.target === element.current && onClose();
  return html`<dialog ref=${element} class=${`dialog ${kind ?? ""}`} aria-labelledby=${id} onCancel=${cancel} onClick=${click}>
    <div class="dialog-inside">
      <header class="dialog-head">
        <h2 id=${id}>${title}</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick=${onClose}>×</button>
      </header>
      ${children}
    </div>
  </dialog>`;
}

/** Ask, and answer whether it was agreed to. `action` is the word on the button: "Cancel 12 jobs". */
export function confirm(message, action = "OK", { kind = "primary", title = "Are you sure?", detail } = {}) {
  return new Promise((answer) => {
    openDialog((close) => {
      const decide = (agreed) => () => {
        close();
        answer(agreed);
      };
      return html`<${Dialog} title=${title} onClose=${decide(false)}>
        <p class="dialog-text">${message}</p>
        ${detail && html`<div class="dialog-detail">${detail}</div>`}
        <footer class="dialog-actions">
          <${Button} onClick=${decide(false)}>Back<//>
          <${Button} kind=${kind} onClick=${decide(true)} autofocus>${action}<//>
        </footer>
      <//>`;
    });
  });
}

/** Show what `draw(close)` draws, until `close` is called. */
export function openDialog(draw) {
  const id = ++count;
  const close = () => show(open.filter((one) => one.id !== id));
  show([...open, { id, draw: () => draw(close) }]);
  return close;
}

/** Where dialogs of `confirm` and `openDialog` appear: once, in the page's frame. */
export function Dialogs() {
  const [, redraw] = useReducer((n) => n + 1, 0);
  useEffect(() => {
    listeners.add(redraw);
    return () => listeners.delete(redraw);
  }, []);
  return html`${open.map(({ id, draw }) => html`<${Drawn} key=${id} draw=${draw} />`)}`;
}

function Drawn({ draw }) {
  return draw();
}

function show(next) {
  open = next;
  listeners.forEach((listener) => listener());
}
