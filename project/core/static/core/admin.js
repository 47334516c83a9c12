// The theme chosen on the site; boxes that choose every row of a page; filters that are open where there is room.
(() => {
  "use strict";
  const systemDark = matchMedia("(prefers-color-scheme: dark)");

  function showTheme() {
    let theme = null;
    try { theme = localStorage.getItem("theme"); } catch { /* the system's then */ }
    const { dataset } = document.documentElement;
    dataset.theme = dataset.bsTheme = theme || (systemDark.matches ? "dark" : "light");
  }

  showTheme();
  systemDark.addEventListener("change", showTheme);
  addEventListener("storage", showTheme);

  addEventListener("DOMContentLoaded", () => {
    const all = document.querySelector("[data-choose-all]");
    if (all) all.hidden = false;
    const filters = document.getElementById("admin-filters");
    if (filters && matchMedia("(min-width: 62rem)").matches) filters.open = true;
  });

  addEventListener("change", (event) => {
    if (!event.target.matches("[data-choose-all]")) return;
    for (const box of event.target.form.querySelectorAll("input[name=pks]")) box.checked = event.target.checked;
  });
})();
