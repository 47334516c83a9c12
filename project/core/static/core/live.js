// Live parts of a page: what a stream sends takes the place of what its element [data-stream] showed. One that is
// a log ([data-stream-log]) grows instead: each element sent takes the place of the one with its id, wherever that
// stands, or else the end of the log; [data-gone] takes it away. [data-stream-state] says how it goes: open, lost,
// ended, or refused when the server will not have this visitor any more.
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
    source.onopen = () => {
      stream.delay = FIRST;
      element.dataset.streamState = "open";
    };
    source.onmessage = ({ data, lastEventId }) => {
      stream.last = lastEventId;
      if ("streamLog" in element.dataset) append(element, data);
      else if (window.htmx) htmx.swap(element, data, { swapStyle: "innerHTML" });
      else element.innerHTML = data;
    };
    source.addEventListener("end", () => {
      finish(element, stream, "ended");
    });
    // A lost connection is taken up again by the browser itself; after an answer such as 503 it would stay away.
    source.onerror = async () => {
      element.dataset.streamState = "lost";
      if (source.readyState !== EventSource.CLOSED) return;
      stream.timer = setTimeout(() => start(element, stream), stream.delay);
      stream.delay = Math.min(stream.delay * 2, LONGEST);
      const answer = await fetch(url, { method: "HEAD", redirect: "manual" }).catch(() => null);
      if (answer?.type === "opaqueredirect" || [401, 403, 404].includes(answer?.status)) finish(element, stream, "refused");
    };
  }

  function append(log, html) {
    const sent = document.createElement("template");
    sent.innerHTML = html;
    for (const part of [...sent.content.children]) {
      const known = part.id && document.getElementById(part.id);
      if ("gone" in part.dataset) known?.remove();
      else if (known) known.replaceWith(part);
      else log.append(part);
      if (part.isConnected && window.htmx) htmx.process(part);
    }
    document.dispatchEvent(new Event("stream:shown"));
  }

  function finish(element, stream, state) {
    stop(stream);
    stream.ended = true;
    element.dataset.streamState = state;
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
