// Live parts of a page: what a stream sends takes the place of what its element [data-stream] showed. One that is
// a log ([data-stream-log]) grows instead: each element sent takes the place of the one with its id, wherever that
// stands, or else the end of the log; [data-gone] takes it away. [data-stream-state] says how it goes: open, lost,
// ended, or refused when the server will not have this visitor any more.
//
// One more stream is the page's own: it brings toasts, and says which topics have changed. The live blocks of a topic,
// marked by [data-live], are then asked for at the page's address, one after another and never faster than they come.
(() => {
  "use strict";
  const FIRST = 1000;
  const LONGEST = 60000;
  const BREATH = 300;
  const TOASTS = 5;
  const TOPICS = 20;
  const streams = new Map();
  const drawings = new WeakMap();
  const wait = (delay) => new Promise((resolve) => setTimeout(resolve, delay));

  function start(element, stream) {
    const address = stream.address();
    const url = new URL(address, location);
    if (stream.last) url.searchParams.set("last_event_id", stream.last);
    const source = new EventSource(url);
    Object.assign(stream, { source, ended: "", timer: null });
    source.onopen = () => {
      stream.delay = FIRST;
      element.dataset[stream.state] = "open";
    };
    source.onmessage = ({ data, lastEventId }) => {
      stream.last = lastEventId;
      stream.show(data);
    };
    if (stream.own) source.addEventListener("changed", ({ data }) => draw(JSON.parse(data)));
    source.addEventListener("end", () => finish(element, stream, address, "ended"));
    // A lost connection is taken up again by the browser itself; after an answer such as 503 it would stay away.
    source.onerror = async () => {
      element.dataset[stream.state] = "lost";
      if (source.readyState !== EventSource.CLOSED) return;
      again(element, stream);
      const answer = await fetch(url, { method: "HEAD", redirect: "manual" }).catch(() => null);
      if (answer?.type !== "opaqueredirect" && ![204, 401, 403, 404].includes(answer?.status)) return;
      finish(element, stream, address, "refused");
      if (stream.own) draw(null);  // the blocks learn what has become of them, and get new passes
    };
  }

  function again(element, stream) {
    clearTimeout(stream.timer);
    stream.timer = setTimeout(() => start(element, stream), stream.delay);
    stream.delay = Math.min(stream.delay * 2, LONGEST);
  }

  function finish(element, stream, address, state) {
    stop(stream);
    stream.ended = address;
    element.dataset[stream.state] = state;
  }

  function stop(stream) {
    clearTimeout(stream.timer);
    stream.source?.close();
    stream.source = stream.timer = null;
  }

  // A tab in the background lets go: browsers open six connections to a host, and each stream holds one.
  function keep(element, kind) {
    if (!streams.has(element)) streams.set(element, { delay: FIRST, last: "", ended: "", source: null, timer: null, ...kind });
    const stream = streams.get(element);
    if (document.hidden) stop(stream);
    else if (stream.source || stream.timer || stream.ended === stream.address()) return;
    else if (stream.ended) again(element, stream);
    else start(element, stream);
  }

  function follow() {
    for (const [element, stream] of streams) {
      if (element.isConnected) continue;
      stop(stream);
      streams.delete(element);
    }
    for (const element of document.querySelectorAll("[data-stream]")) {
      keep(element, { state: "streamState", address: () => element.dataset.stream, show: (html) => show(element, html) });
    }
    const page = document.getElementById("live");
    if (page) followPage(page);
  }

  function show(element, html) {
    if ("streamLog" in element.dataset) append(element, html);
    else swap(element, html);
  }

  function swap(element, html) {
    if (window.htmx) htmx.swap(element, html, { swapStyle: "innerHTML" });
    else element.innerHTML = html;
  }

  function parse(html) {
    const sent = document.createElement("template");
    sent.innerHTML = html;
    return sent.content;
  }

  function append(log, html) {
    for (const part of [...parse(html).children]) {
      const known = part.id && document.getElementById(part.id);
      if ("gone" in part.dataset) known?.remove();
      else if (known) known.replaceWith(part);
      else log.append(part);
      if (part.isConnected && window.htmx) htmx.process(part);
    }
    document.dispatchEvent(new Event("stream:shown"));
  }

  // The page's own stream

  function passes() {
    const found = [...document.querySelectorAll("[data-live]")].map(({ dataset }) => [dataset.live, dataset.livePass]);
    return new Map(found.slice(0, TOPICS));
  }

  function followPage(page) {
    const topics = [...passes().keys()].sort().join(" ");
    const stream = streams.get(page);
    if (stream && stream.topics !== topics) {
      stop(stream);
      Object.assign(stream, { topics, ended: "" });
    }
    for (const mark of document.querySelectorAll("[data-live]")) mark.parentElement.setAttribute("aria-live", "polite");
    if (!topics && !("toasts" in page.dataset)) return;
    const address = () => `${page.dataset.url}?${new URLSearchParams([...passes().values()].map((pass) => ["on", pass]))}`;
    keep(page, { own: true, state: "liveState", topics, address, show: toast });
  }

  // A toast that leads to this very page says what is seen here anyway.
  function toast(html) {
    const notice = parse(html).firstElementChild;
    const link = notice.querySelector("a");
    if (link && new URL(link.getAttribute("href"), location).pathname === location.pathname) return;
    const region = document.getElementById("toasts");
    region.append(notice);
    if (window.htmx) htmx.process(notice);
    while (region.children.length > TOASTS) region.firstElementChild.remove();
  }

  function draw(topic) {
    for (const mark of document.querySelectorAll("[data-live]")) {
      if (topic === null || mark.dataset.live === topic) keepDrawn(mark.parentElement);
    }
  }

  async function keepDrawn(block) {
    const drawing = drawings.get(block) || { due: false, busy: false };
    drawings.set(block, drawing);
    drawing.due = true;
    if (drawing.busy) return;
    drawing.busy = true;
    for (let delay = FIRST; drawing.due && block.isConnected && !document.hidden;) {
      const began = performance.now();
      drawing.due = false;
      const drawn = await drawAnew(block).catch(() => false);
      if (!drawn) drawing.due = true;
      await wait((drawn ? Math.max(BREATH, 3 * (performance.now() - began)) : delay) * (1 + Math.random() / 2));
      delay = drawn ? FIRST : Math.min(2 * delay, LONGEST);
    }
    drawing.busy = false;
  }

  const markIn = (block) => block.querySelector(":scope > [data-live]");

  // False where it has to be tried again.
  async function drawAnew(block) {
    const mark = markIn(block);
    if (!mark) return true;
    const { live, liveBlock, livePass } = mark.dataset;
    const address = location.href;
    const answer = await fetch(address, { headers: { "X-Live": livePass }, redirect: "manual", cache: "no-store" });
    if (answer.status === 429 || answer.status >= 500) return false;
    const sent = parse(answer.ok ? await answer.text() : "");
    if (location.href !== address) return false;
    const alike = sent.querySelector(`[data-live="${live}"][data-live-block="${liveBlock}"]`)?.parentElement;
    const drawn = alike || (answer.headers.has("X-Live") ? sent.firstElementChild : null);
    if (drawn) replace(block, drawn);
    else refuse(block);
    return true;
  }

  function replace(block, drawn) {
    for (const { name, value } of drawn.attributes) block.setAttribute(name, value);
    swap(block, drawn.innerHTML);
  }

  function refuse(block) {
    markIn(block)?.remove();
    block.prepend(document.getElementById("live").content.cloneNode(true));
  }

  document.addEventListener("click", ({ target }) => {
    target.closest("[data-dismiss]")?.closest(".flash").remove();
  });
  document.addEventListener("animationend", ({ target, animationName }) => {
    if (animationName === "pass") target.remove();
  });
  document.addEventListener("visibilitychange", follow);
  new MutationObserver(follow).observe(document.documentElement, { childList: true, subtree: true });
  follow();
})();
