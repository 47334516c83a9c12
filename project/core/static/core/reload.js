// Development only: reloads the page when the site changes or was restarted; a changed style is swapped in place.
(() => {
  "use strict";
  let source = null;
  let known = null;

  // A tab in the background lets go: browsers open six connections to a host, and each stream holds one.
  function follow() {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (!source) {
      listen();
    }
  }

  function listen() {
    source = new EventSource("/_dev/reload");
    source.addEventListener("hello", (event) => {
      const { stamp } = JSON.parse(event.data);
      if (known ? known !== stamp : isNewer(stamp)) location.reload();
      known = stamp;
    });
    source.addEventListener("style", (event) => {
      const { stamp, styles } = JSON.parse(event.data);
      known = stamp;
      if (!styles.every(swap)) location.reload();
    });
    source.addEventListener("reload", () => location.reload());
  }

  // Whether something was edited between the making of this page and the first word of the stream.
  function isNewer(stamp) {
    const edited = Number(stamp.split("-")[1]) / 1e6;
    return edited > performance.timeOrigin && edited < Date.now();
  }

  // False when no link names the style: another style may import it.
  function swap(name) {
    const links = [...document.querySelectorAll("link[rel=stylesheet]")];
    const shown = links.filter((link) => new URL(link.href).pathname === `/static/${name}`);
    for (const link of shown) {
      const fresh = link.cloneNode();
      fresh.href = `/static/${name}?${Date.now()}`;
      fresh.addEventListener("load", () => link.remove());
      fresh.addEventListener("error", () => fresh.remove());
      link.after(fresh);
    }
    return shown.length > 0;
  }

  document.addEventListener("visibilitychange", follow);
  follow();
})();
