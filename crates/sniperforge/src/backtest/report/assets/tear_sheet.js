"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const figures = JSON.parse(byId("figures").textContent);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 620px)");
  const coarse = matchMedia("(pointer: coarse)");
  const scale = byId("scale");
  const time = figures.time.map((ms) => new Date(ms));
  const dense = figures.buys.time.length > (narrow.matches ? 60 : 200);
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

  // 1, 2 and 5 of each decade, each written in full.
  const dollarAxis = (values) => {
    if (!log) return { tickprefix: "$", tickformat: "~s" };
    const seen = values.flat().filter((v) => v > 0);
    const least = seen.reduce((a, b) => Math.min(a, b), Infinity);
    const most = seen.reduce((a, b) => Math.max(a, b), 0);
    const ticks = [];
    for (let decade = Math.floor(Math.log10(least)); decade <= Math.log10(most); decade += 1) {
      for (const digit of [1, 2, 5]) ticks.push(Number((digit * 10 ** decade).toPrecision(1)));
    }
    const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
    return { type: "log", tickvals: ticks, ticktext: ticks.map((v) => "$" + (v < 1 ? String(v) : short.format(v))) };
  };

  const layout = (yaxis) => {
    const axis = { gridcolor: colour("grid"), linecolor: colour("line"), zerolinecolor: colour("line"), automargin: true };
    return {
      margin: { l: 8, r: 8, t: 8, b: 8 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: narrow.matches ? 11 : 12, color: colour("soft") },
      hovermode: "x unified",
      hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("text") } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("hold"), activecolor: colour("portfolio") },
      // A finger that scrolls the page must not zoom the chart.
      dragmode: coarse.matches ? false : "zoom",
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", traceorder: "reversed", font: { color: colour("text") } },
      xaxis: { ...axis, type: "date", range: [time[0], time[time.length - 1]], showgrid: false, nticks: narrow.matches ? 5 : 10 },
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
    marker: { symbol: shape, size: dense ? 6 : 9, opacity: dense ? 0.75 : 1, color: colour(tone), line: { width: dense ? 0 : 0.6, color: colour("panel") } },
  });

  const options = { responsive: true, displaylogo: false, displayModeBar: coarse.matches || narrow.matches ? false : "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

  const draw = () => {
    scale.setAttribute("aria-pressed", String(log));
    let nth = -1;
    const lines = figures.equity.map((series) => {
      if (series.role === "strategy") nth += 1;
      return line(series, nth, "%{y:$,.0f}", {});
    });
    Plotly.react("equity", lines, layout(dollarAxis(figures.equity.map((series) => series.values))), options);

    const falls = figures.drawdown.map((series) =>
      line(series, 0, "%{y:.1%}", series.role === "portfolio" ? { fill: "tozeroy", fillcolor: colour("portfolio") + "33" } : {}));
    Plotly.react("drawdown", falls, layout({ tickformat: ".0%", rangemode: "tozero" }), options);

    const price = { name: "Close", x: time, y: figures.price, mode: "lines", hovertemplate: "%{y:$,.6~g}",
      line: { color: colour("hold"), width: 1.1 } };
    const trades = [price, markers("Buy", "triangle-up", "gain", figures.buys), markers("Sell", "triangle-down", "loss", figures.sells)];
    const over = layout(dollarAxis([figures.price]));
    over.legend.traceorder = "normal";
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
