"use strict";
// Keeps the page up to date. It formats nothing and makes no markup out of data: text goes in as text, classes come
// from a closed list in the program, and path data are digits.

(() => {
  const LOST_AFTER_MS = 5000;
  const RETRY_AFTER_MS = 5000;

  const byId = (id) => document.getElementById(id);
  const textOf = (cell) => (Array.isArray(cell) ? cell[0] : cell);
  const classOf = (cell) => (Array.isArray(cell) ? cell[1] : "");

  function put(element, text, classes) {
    if (element.textContent !== text) element.textContent = text;
    if (element.className !== classes) element.className = classes;
  }

  function putFacts(facts) {
    for (const [name, cell] of Object.entries(facts)) {
      const element = byId("f-" + name);
      if (element) put(element, textOf(cell), [element.dataset.class, classOf(cell)].filter(Boolean).join(" "));
    }
    document.title = textOf(facts.title);
  }

  // Rows and cells are kept and refilled, so that a selection or a scrolled table stays where it is.
  function putRows(body, rows) {
    const columns = Array.from(body.parentElement.tHead.rows[0].cells, (head) => head.className);
    while (body.rows.length > Math.max(rows.length, 1)) body.deleteRow(-1);
    if (rows.length === 0) {
      const row = body.rows[0] || body.insertRow();
      while (row.cells.length > 1) row.deleteCell(-1);
      const cell = row.cells[0] || row.insertCell();
      cell.colSpan = columns.length;
      put(cell, body.dataset.empty, "none");
      return;
    }
    rows.forEach((cells, index) => {
      const row = body.rows[index] || body.insertRow();
      columns.forEach((column, place) => {
        const cell = row.cells[place] || row.insertCell();
        cell.removeAttribute("colspan");
        put(cell, textOf(cells[place]), [column, classOf(cells[place])].filter(Boolean).join(" "));
      });
    });
  }

  let range = byId("chart").dataset.range.split(" ").map(Number);
  let points = pointsOf(byId("c-line").getAttribute("d"));

  function pointsOf(path) {
    return path.split(/[ML]/).slice(1).map((pair) => pair.split(" ").map(Number));
  }

  function putChart(chart) {
    byId("c-line").setAttribute("d", chart.line);
    byId("c-area").setAttribute("d", chart.line && chart.line + "V10000H0Z");
    byId("c-start").setAttribute("d", chart.start);
    for (const [name, labels] of [["values", chart.values], ["times", chart.times]]) {
      const spans = document.querySelectorAll("#chart ." + name + " span");
      spans.forEach((span, index) => put(span, labels[index] || "", ""));
    }
    range = chart.range;
    points = pointsOf(chart.line);
  }

  // Reads the nearest drawn point off the picture.
  function read(event) {
    const box = event.currentTarget.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * 10000;
    let nearest = points[0];
    for (const point of points) if (Math.abs(point[0] - at) < Math.abs(nearest[0] - at)) nearest = point;
    if (!nearest) return;
    const [bottom, top, from, to] = range;
    const usd = (top - ((top - bottom) * nearest[1]) / 10000) / 1e6;
    const time = new Date(from + ((to - from) * nearest[0]) / 10000).toISOString().slice(11, 19);
    byId("c-cross").setAttribute("d", "M" + nearest[0] + " 0V10000");
    const dollars = usd.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
    byId("c-read").textContent = time + "  $" + dollars;
  }

  function unread() {
    byId("c-cross").setAttribute("d", "");
    byId("c-read").textContent = "";
  }

  const plot = document.querySelector(".plot");
  plot.addEventListener("pointermove", read);
  plot.addEventListener("pointerleave", unread);

  let connected = false;
  let heardAt = performance.now();

  function hear(message) {
    heardAt = performance.now();
    const changed = JSON.parse(message.data);
    // Another version of the program answers now: its page may look different.
    const version = byId("f-version").textContent;
    if (changed.facts && version && textOf(changed.facts.version) !== version) {
      location.reload();
      return;
    }
    for (const [name, part] of Object.entries(changed)) {
      if (name === "facts") putFacts(part);
      else if (name === "chart") putChart(part);
      else putRows(byId("t-" + name), part);
    }
    tell();
  }

  // The one place that says whether the numbers are of now.
  function tell() {
    const silent = performance.now() - heardAt;
    const lost = !connected || silent > LOST_AFTER_MS;
    const seconds = Math.floor(silent / 1000);
    const words = !lost ? "live" : connected ? "stale: engine silent for " + seconds + " s" : "stale: no connection for " + seconds + " s";
    put(byId("conn"), words, "badge " + (lost ? "bad" : "ok"));
    document.body.classList.toggle("lost", lost);
  }

  function connect() {
    const source = new EventSource("/events");
    source.onopen = () => { connected = true; tell(); };
    source.onmessage = hear;
    source.onerror = () => {
      connected = false;
      tell();
      // The browser tries again by itself, unless it was refused.
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_AFTER_MS);
    };
  }

  connect();
  setInterval(tell, 1000);
})();
