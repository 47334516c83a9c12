// The theme chosen on the site; and custom actions by POST: SQLAdmin's own links would ask by GET, which another
// site's page could do as well.
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

  function actionOf(element) {
    const address = element.dataset.url || element.getAttribute("href") || "";
    const url = new URL(address, location.href);
    return /\/action\/[a-z0-9-]+$/.test(url.pathname) && url.origin === location.origin ? url : null;
  }

  function selected() {
    return [...document.querySelectorAll(".select-box:checked")].map((box) => box.parentElement.querySelector("input[type=hidden]").value);
  }

  function post(url) {
    const form = document.createElement("form");
    form.method = "post";
    form.action = url;
    document.body.append(form);
    form.submit();
  }

  document.addEventListener("click", (event) => {
    const element = event.target.closest("a, button");
    if (!element) return;
    // SQLAdmin appends the chosen rows to this address each time the dialog opens.
    if (element.id === "action-delete") jQuery(element).data("url", element.getAttribute("data-url"));
    const url = actionOf(element);
    if (!url) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (element.dataset.url) url.searchParams.set("pks", selected().join(","));
    post(url);
  }, true);
})();
