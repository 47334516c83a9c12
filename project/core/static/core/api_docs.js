// Starts Swagger UI on the page the server sent; nothing is asked of another host.
(() => {
  "use strict";
  const mount = document.getElementById("api-docs");
  let theme = null;
  try { theme = localStorage.getItem("theme"); } catch { /* storage is closed: follow the system */ }
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.classList.toggle("dark-mode", dark);
  SwaggerUIBundle({
    domNode: mount,
    url: mount.dataset.schemaUrl,
    deepLinking: true,
    displayRequestDuration: true,
    persistAuthorization: false,
    // Unset, Swagger UI shows every schema to a validator on the internet.
    validatorUrl: null,
  });
})();
