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

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if ("themeSwitch" in button.dataset) switchTheme();
    if ("reveal" in button.dataset) reveal(button, !button.hasAttribute("data-shown"));
    if ("dismiss" in button.dataset) button.closest(".flash").remove();
  });

  // A password leaves as a password: browsers then offer to keep it and never list it as an earlier entry.
  document.addEventListener("submit", (event) => {
    for (const button of event.target.querySelectorAll("[data-shown]")) reveal(button, false);
  }, true);

  document.addEventListener("htmx:afterSettle", (event) => {
    event.target.querySelector(".summary")?.focus();
  });

  document.addEventListener("htmx:responseError", (event) => {
    const answer = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
    complain(answer.getElementById("trouble-message")?.textContent);
  });

  document.addEventListener("htmx:sendError", () => {
    complain(document.getElementById("trouble").dataset.unreachable);
  });
})();
