"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const figures = JSON.parse(byId("figures").textContent);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 620px)");
  const coarse = matchMedia("(pointer: coarse)");
  const scale = byId("scale");
  const time = figures.time.map((ms) => new Date(ms));
  let log = figures.wide;

  const trouble = (text) => {
    const place = byId("trouble");
    place.textContent = text;
    place.hidden = false;
  };

  // The library travels gzipped inside this file.
  const unpack = async () => {
    const packed = Uint8Array.from(atob(byId("library").textContent), (c) => c.charCodeAt(0));
    const plain = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(plain).text();
    document.head.append(script);
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  const layout = (yaxis) => {
    const axis = { gridcolor: colour("grid"), linecolor: colour("line"), zerolinecolor: colour("line"), automargin: true };
    return {
      margin: { l: 8, r: 8, t: 8, b: 8 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: narrow.matches ? 11 : 12, color: colour("soft") },
      hovermode: "x unified",
      hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("text") } },
      // A finger that scrolls the page must not zoom the chart.
      dragmode: coarse.matches ? false : "zoom",
      legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", traceorder: "reversed", font: { color: colour("text") } },
      xaxis: { ...axis, type: "date", showgrid: false, nticks: narrow.matches ? 5 : 10 },
      yaxis: { ...axis, ...yaxis },
    };
  };

  const line = (series, nth, hover, extra) => {
    const name = series.role === "strategy" ? "s" + (nth % 5) : series.role;
    return {
      name: series.name, x: time, y: series.values, mode: "lines", hovertemplate: hover,
      line: {
        color: colour(name), width: series.role === "portfolio" ? 2.4 : 1.3,
        dash: series.role === "hold" ? "dot" : "solid",
      },
      ...extra,
    };
  };

  const markers = (name, shape, tone, data) => ({
    name, x: data.time.map((ms) => new Date(ms)), y: data.price, text: data.text, mode: "markers",
    hovertemplate: "%{y:$,.6~g} · %{text}",
    marker: { symbol: shape, size: narrow.matches ? 6 : 8, color: colour(tone), line: { width: 0.6, color: colour("panel") } },
  });

  const options = { responsive: true, displaylogo: false, displayModeBar: coarse.matches ? false : "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

  const draw = () => {
    scale.setAttribute("aria-pressed", String(log));
    let nth = -1;
    const lines = figures.equity.map((series) => {
      if (series.role === "strategy") nth += 1;
      return line(series, nth, "%{y:$,.0f}", {});
    });
    const dollars = { tickprefix: "$", type: log ? "log" : "linear", tickformat: "~s" };
    if (log) dollars.dtick = "D2";
    Plotly.react("equity", lines, layout(dollars), options);

    const falls = figures.drawdown.map((series) =>
      line(series, 0, "%{y:.1%}", series.role === "portfolio" ? { fill: "tozeroy", fillcolor: colour("portfolio") + "33" } : {}));
    Plotly.react("drawdown", falls, layout({ tickformat: ".0%", rangemode: "tozero" }), options);

    const price = { name: "Close", x: time, y: figures.price, mode: "lines", hovertemplate: "%{y:$,.6~g}",
      line: { color: colour("hold"), width: 1.1 } };
    const trades = [price, markers("Sell", "triangle-down", "loss", figures.sells), markers("Buy", "triangle-up", "gain", figures.buys)];
    const over = layout({ tickprefix: "$", type: log ? "log" : "linear", tickformat: "~g", ...(log ? { dtick: "D2" } : {}) });
    // Fills lie between the points of the line: each is its own place to point at.
    over.hovermode = "closest";
    Plotly.react("trades", trades, over, options);
  };

  unpack().then(() => {
    draw();
    scheme.addEventListener("change", draw);
    narrow.addEventListener("change", draw);
    scale.addEventListener("click", () => {
      log = !log;
      draw();
    });
    document.documentElement.dataset.drawn = "true";
  }).catch((error) => {
    trouble("The charts could not be drawn (" + error.message + "). The tables below hold every figure.");
  });
})();
