// The line one writes in: Enter sends, Shift and Enter begin a new line, and what was sent is cleared away. What
// could not be sent stays, with its token, so that sending it again has one effect.
(() => {
  "use strict";
  if (window.uptempoRoom) return;  // a boosted link brings this script again
  window.uptempoRoom = true;
  let sent = "";

  function newToken() {
    return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  document.addEventListener("keydown", (event) => {
    const form = event.target.closest?.("[data-composer]");
    if (!form || event.target.tagName !== "TEXTAREA" || event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (event.target.value.trim()) form.requestSubmit();
  });

  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    if (detail.elt.matches("[data-composer]")) sent = detail.elt.elements.body.value;
  });

  // What was written while the answer was on its way stays.
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (!detail.elt.matches("[data-composer]") || !detail.successful) return;
    const { body, _once } = detail.elt.elements;
    body.value = body.value.startsWith(sent) ? body.value.slice(sent.length) : "";
    _once.value = newToken();
    body.focus();
    document.querySelector(".chat-scroll").scrollTop = 0;
  });
})();
