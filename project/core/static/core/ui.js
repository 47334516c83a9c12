// The little that HTML and CSS cannot do: the theme switch, showing a password, messages when a request fails.
(() => {
  "use strict";
  const root = document.documentElement;
  const systemDark = matchMedia("(prefers-color-scheme: dark)");

  function chosenTheme() {
    try { return localStorage.getItem("theme"); } catch { return null; }
  }

  function isDark() {
    const theme = chosenTheme();
    return theme ? theme === "dark" : systemDark.matches;
  }

  function showTheme() {
    const theme = chosenTheme();
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    for (const button of document.querySelectorAll("[data-theme-switch]")) button.setAttribute("aria-pressed", isDark());
  }

  // Choosing what the system prefers anyway forgets the choice, so that the site follows the system again.
  function switchTheme() {
    const dark = !isDark();
    try {
      if (dark === systemDark.matches) localStorage.removeItem("theme");
      else localStorage.setItem("theme", dark ? "dark" : "light");
    } catch { return; }
    showTheme();
  }

  function reveal(button, shown) {
    document.getElementById(button.dataset.reveal).type = shown ? "text" : "password";
    button.toggleAttribute("data-shown", shown);
  }

  function complain(text) {
    const template = document.getElementById("trouble");
    const flash = template.content.firstElementChild.cloneNode(true);
    flash.querySelector("p").textContent = text || template.dataset.unknown;
    const region = document.getElementById("flashes");
    region.classList.add("flashes-floating");
    region.replaceChildren(flash);
  }

  root.classList.add("js");
  showTheme();
  systemDark.addEventListener("change", showTheme);
  addEventListener("storage", showTheme);
  document.addEventListener("DOMContentLoaded", showTheme);

  // Back may be pressed before htmx listens: without this the address would change and the page would not.
  let listening = false;
  document.addEventListener("DOMContentLoaded", () => { listening = true; });
  addEventListener("popstate", ({ state }) => { if (!listening && state?.htmx) location.reload(); });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if ("themeSwitch" in button.dataset) switchTheme();
    if ("reveal" in button.dataset) reveal(button, !button.hasAttribute("data-shown"));
  });

  // A password leaves as a password: browsers then offer to keep it and never list it as an earlier entry.
  document.addEventListener("submit", (event) => {
    for (const button of event.target.querySelectorAll("[data-shown]")) reveal(button, false);
  }, true);

  // A boosted link or form moves the whole page, wherever it stands; what is no page of ours is left to the browser.
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (!detail.boosted) return;
    const { xhr, pathInfo } = detail;
    const html = (xhr.getResponseHeader("Content-Type") || "").startsWith("text/html");
    if (html && /<body[^>]*\bhx-boost="true"/.test(xhr.responseText)) {
      Object.assign(detail, { shouldSwap: true, isError: false, target: document.body, swapOverride: "innerHTML show:window:top" });
    } else if (xhr.status < 400) {
      detail.shouldSwap = false;
      if (detail.requestConfig.verb === "get") location.assign(pathInfo.responsePath || pathInfo.finalRequestPath);
      else complain(document.getElementById("trouble").dataset.unknown);
    }
  });

  document.addEventListener("htmx:afterSettle", ({ detail, target }) => {
    const summary = target.querySelector(".summary");
    if (summary) summary.focus();
    else if (detail.boosted && !document.activeElement?.matches("[autofocus]")) {
      document.getElementById("main")?.focus({ preventScroll: true });
    }
    if (detail.boosted) showTheme();
    if (target.matches(".field-notes")) {
      const wrong = target.querySelector(".field-error") !== null;
      for (const control of document.querySelectorAll(`[aria-describedby~="${target.id}"]`)) {
        if (wrong) control.setAttribute("aria-invalid", "true");
        else control.removeAttribute("aria-invalid");
      }
    }
  });

  // A message that arrives beside a fragment has to be seen wherever the reader has scrolled to.
  document.addEventListener("htmx:oobAfterSwap", ({ target }) => {
    if (target.id === "flashes") target.classList.add("flashes-floating");
  });

  const unasked = (detail) => detail.target?.matches(".field-notes");  // the check of a field; its form will tell

  document.addEventListener("htmx:responseError", ({ detail }) => {
    if (unasked(detail)) return;
    const answer = new DOMParser().parseFromString(detail.xhr.responseText, "text/html");
    complain(answer.getElementById("trouble-message")?.textContent);
  });

  for (const event of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(event, ({ detail }) => {
      if (!unasked(detail)) complain(document.getElementById("trouble").dataset.unreachable);
    });
  }
})();
