"use strict";
// Fetches the page again and puts its main part in the place of the old one. The server writes all of it; nothing here
// makes markup out of data.

(() => {
  const EVERY_MS = 2000;
  const LOST_AFTER_MS = 6000;

  const conn = document.getElementById("conn");
  let heardAt = performance.now();

  function tell() {
    const silent = performance.now() - heardAt;
    const lost = silent > LOST_AFTER_MS;
    conn.textContent = lost ? "stale: no answer for " + Math.floor(silent / 1000) + " s" : "live";
    conn.className = "badge " + (lost ? "bad" : "ok");
    document.body.classList.toggle("lost", lost);
  }

  async function refresh() {
    try {
      const answer = await fetch("/performance", { signal: AbortSignal.timeout(LOST_AFTER_MS) });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
      const old = document.getElementById("main");
      // Where a table was scrolled to, and what has the focus, stays.
      const scrolled = Array.from(old.querySelectorAll(".scroll"), (box) => [box.scrollLeft, box.scrollTop]);
      const focused = Array.from(old.querySelectorAll(".scroll")).indexOf(document.activeElement);
      old.replaceWith(document.adoptNode(fresh));
      fresh.querySelectorAll(".scroll").forEach((box, nth) => {
        if (scrolled[nth]) [box.scrollLeft, box.scrollTop] = scrolled[nth];
        if (nth === focused) box.focus({ preventScroll: true });
      });
      heardAt = performance.now();
    } catch {
      // The next try may do better; until then the badge says since when nothing was heard.
    }
  }

  async function forever() {
    for (;;) {
      await new Promise((done) => setTimeout(done, EVERY_MS));
      if (!document.hidden) await refresh();
      else heardAt = performance.now();
      tell();
    }
  }

  tell();
  forever();
})();
