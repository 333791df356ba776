// The way in, where tokens are set. The token goes to the broker once, and is not kept here.

import { Button, Card, html, useEffect, useRef, useState } from "../parts/ui.js";
import { login } from "../data/session.js";
import { go, parse } from "../data/routes.js";
import { useStore } from "../data/store.js";

export default function View() {
  const session = useStore((state) => state.session);
  const [state, setState] = useState({});
  const field = useRef();
  useEffect(() => field.current.focus(), []);
  const submit = async (event) => {
    event.preventDefault();
    const token = new FormData(event.currentTarget).get("token").trim();
    if (!token) return setState({ error: "Enter a token." });
    setState({ busy: true });
    try {
      await login(token);
      if (parse(location.hash).path[0] === "login") go("");
    } catch (error) {
      setState({ error: error.status === 401 ? "The broker does not know this token." : error.message });
    }
  };
  return html`<${Card} kind="narrow">
    <form class="form" onSubmit=${submit}>
      <div>
        <h1>Log in</h1>
        <p class="hint">This broker asks for a token. <code>osqueue token</code> makes one.</p>
      </div>
      <input type="text" name="username" autocomplete="username" value="osqueue" hidden />
      <div>
        <label class="label" for="token">Token</label>
        <input
          class="input input-whole mono" id="token" name="token" type="password" autocomplete="current-password" spellcheck=${false}
          ref=${field} aria-invalid=${state.error ? "true" : undefined} aria-describedby="token-error"
        />
        <p class="form-error" id="token-error" role="alert">${state.error}</p>
      </div>
      <${Button} kind="primary" type="submit" busy=${state.busy}>Log in<//>
      ${session && !session.login && html`<p class="hint">You need no token for what you may do now: ${(session.roles ?? []).join(", ") || "nothing"}.</p>`}
    </form>
  <//>`;
}
