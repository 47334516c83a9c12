// What the macros cannot say in HTML: a dialog that asks first, moments told as "3 minutes ago", the focus after a swap.
(() => {
  "use strict";
  const STEPS = [["year", 31536000], ["month", 2592000], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60]];
  const words = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", { numeric: "auto" });

  function tellTimes() {
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const seconds = (new Date(time.dateTime) - Date.now()) / 1000;
      const [unit, length] = STEPS.find(([, length]) => Math.abs(seconds) >= length) || ["second", 1];
      time.textContent = Math.abs(seconds) < 45 ? words.format(0, "second") : words.format(Math.round(seconds / length), unit);
    }
  }

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("a[data-dialog]");
    if (event.target.closest("[data-dialog-close]") || event.target.matches("dialog")) event.target.closest("dialog").close();
    if (!opener || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    document.getElementById(opener.dataset.dialog).showModal();
  });

  // The row is gone and took the focus with it: the list's next thing to press takes over.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const dialog = event.detail.requestConfig.elt.closest("dialog");
    if (!dialog || !event.detail.shouldSwap) return;
    const row = event.detail.target;
    const heir = row.nextElementSibling || row.previousElementSibling || row.parentElement;
    dialog.close();
    (heir.querySelector("a, button") || document.getElementById("main")).focus();
  });

  document.addEventListener("htmx:responseError", (event) => {
    event.detail.requestConfig.elt.closest("dialog")?.close();
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    tellTimes();
    if (event.target.matches?.(".editable") && document.activeElement === document.body) {
      event.target.querySelector(":is(input:not([type=hidden]), select, textarea), a")?.focus();
    }
  });

  document.addEventListener("DOMContentLoaded", tellTimes);
  document.addEventListener("stream:shown", tellTimes);
  setInterval(tellTimes, 30000);
})();
