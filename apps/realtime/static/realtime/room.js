// The line one writes in: Enter sends, Shift and Enter begin a new line, and what was sent is cleared away. What
// could not be sent stays, with its token, so that sending it again has one effect. What is said is drawn once for
// all who follow, so whose it is, and what belongs together, is found out here.
(() => {
  "use strict";
  if (window.uptempoRoom) return;  // a boosted link brings this script again
  window.uptempoRoom = true;
  const TOGETHER = 5 * 60 * 1000;  // milliseconds between two messages that one head is enough for
  const UP = -160;  // pixels from the end, after which one reads what was said before

  function dress() {
    for (const log of document.querySelectorAll(".chat-log")) {
      let last = { by: "", at: 0 };
      for (const message of log.querySelectorAll(":scope > .message")) {
        const said = { by: message.dataset.by, at: Date.parse(message.querySelector("time").dateTime) };
        message.classList.toggle("message-mine", said.by === log.dataset.me);
        message.classList.toggle("message-again", said.by === last.by && said.at - last.at < TOGETHER);
        last = said;
      }
    }
  }

  new MutationObserver(dress).observe(document.documentElement, { childList: true, subtree: true });
  dress();

  document.addEventListener("scroll", ({ target }) => {
    if (!target.matches?.(".chat-scroll")) return;
    const latest = target.parentElement.querySelector("[data-latest]");
    latest.hidden = target.scrollTop > UP;
    latest.classList.toggle("has-news", !latest.hidden && latest.classList.contains("has-news"));
  }, { capture: true, passive: true });

  document.addEventListener("stream:shown", () => {
    document.querySelector("[data-latest]:not([hidden])")?.classList.add("has-news");
  });

  document.addEventListener("click", ({ target }) => {
    const latest = target.closest?.("[data-latest]");
    if (latest) latest.parentElement.querySelector(".chat-scroll").scrollTop = 0;
  });

  function newToken() {
    return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  document.addEventListener("keydown", (event) => {
    const form = event.target.closest?.("[data-composer]");
    if (!form || event.target.tagName !== "TEXTAREA" || event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (event.target.value.trim()) form.requestSubmit();
  });

  // One message is on its way at a time, so that they arrive in their order; `later` holds what is sent while it is.
  const outboxes = new WeakMap();

  function outboxOf(form) {
    if (!outboxes.has(form)) outboxes.set(form, { busy: false, sent: "", later: [], draft: "" });
    return outboxes.get(form);
  }

  document.addEventListener("submit", (event) => {
    const form = event.target.closest?.("[data-composer]");
    if (!form || !outboxOf(form).busy) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    outboxOf(form).later.push(form.elements.body.value);
    form.elements.body.value = "";
  }, { capture: true });

  // htmx has read the form by now: the line is free for what comes next.
  document.addEventListener("htmx:beforeSend", ({ detail }) => {
    if (!detail.elt.matches("[data-composer]")) return;
    const { body } = detail.elt.elements;
    Object.assign(outboxOf(detail.elt), { busy: true, sent: body.value });
    body.value = "";
  });

  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (!detail.elt.matches("[data-composer]")) return;
    const outbox = outboxOf(detail.elt);
    const { body, _once } = detail.elt.elements;
    if (detail.successful) {
      _once.value = newToken();
      body.focus();
      document.querySelector(".chat-scroll").scrollTop = 0;
      setTimeout(() => sendNext(detail.elt, outbox));  // htmx is done with this one then
    } else {
      Object.assign(outbox, { busy: false, draft: body.value });
      body.value = outbox.sent;
    }
  });

  function sendNext(form, outbox) {
    const { body } = form.elements;
    const next = outbox.later.shift();
    const draft = body.value || outbox.draft;
    Object.assign(outbox, { busy: false, draft: "" });
    if (next) {
      body.value = next;
      form.requestSubmit();
    }
    if (body.value !== draft) body.value = draft;
  }
})();
