// Live parts of a page: what a stream sends takes the place of what its element [data-stream] showed.
(() => {
  "use strict";
  const FIRST = 1000;
  const LONGEST = 60000;
  const streams = new Map();

  function start(element, stream) {
    const url = new URL(element.dataset.stream, location);
    if (stream.last) url.searchParams.set("last_event_id", stream.last);
    const source = new EventSource(url);
    stream.source = source;
    source.onopen = () => { stream.delay = FIRST; };
    source.onmessage = ({ data, lastEventId }) => {
      stream.last = lastEventId;
      if (window.htmx) htmx.swap(element, data, { swapStyle: "innerHTML" });
      else element.innerHTML = data;
    };
    source.addEventListener("end", () => {
      stop(stream);
      stream.ended = true;
    });
    // A lost connection is taken up again by the browser itself; after an answer such as 503 it would stay away.
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      stream.timer = setTimeout(() => start(element, stream), stream.delay);
      stream.delay = Math.min(stream.delay * 2, LONGEST);
    };
  }

  function stop(stream) {
    clearTimeout(stream.timer);
    stream.source?.close();
    stream.source = null;
  }

  // A tab in the background lets go: browsers open six connections to a host, and each stream holds one.
  function follow() {
    for (const [element, stream] of streams) {
      if (element.isConnected) continue;
      stop(stream);
      streams.delete(element);
    }
    for (const element of document.querySelectorAll("[data-stream]")) {
      if (!streams.has(element)) streams.set(element, { delay: FIRST, last: "", ended: false, source: null, timer: 0 });
      const stream = streams.get(element);
      if (document.hidden) stop(stream);
      else if (!stream.source && !stream.ended) start(element, stream);
    }
  }

  document.addEventListener("visibilitychange", follow);
  new MutationObserver(follow).observe(document.documentElement, { childList: true, subtree: true });
  follow();
})();
