"use strict";
(() => {
  // Rows were written as columns, and words in them once (engine/report, packed).
  function unpacked(value) {
    if (Array.isArray(value)) return value.map(unpacked);
    if (value === null || typeof value !== "object") return value;
    if (!("$rows" in value)) return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, unpacked(each)]));
    const columns = Object.entries(value.$rows).map(([name, column]) =>
      [name, Array.isArray(column) ? column.map(unpacked) : column.at.map((place) => column.of[place])]);
    return columns[0][1].map((_, row) => Object.fromEntries(columns.map(([name, column]) => [name, column[row]])));
  }
  const charts = JSON.parse(document.getElementById("charts").textContent)
    .map(({ light, dark }) => ({ light: unpacked(light), dark }));
  const places = [...document.querySelectorAll("[data-chart]")];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let round = 0; // of drawing all: an older one gives way

  function inScheme({ light, dark: differences }, isDark) {
    const chart = structuredClone(light);
    for (const [path, value] of isDark ? differences : []) {
      path.slice(0, -1).reduce((part, key) => part[key], chart)[path.at(-1)] = value;
    }
    return chart;
  }

  function draw(place, isDark) {
    const chart = inScheme(charts[place.dataset.chart], isDark);
    chart.width = place.clientWidth;
    chart.autosize = { type: "fit", contains: "padding" };
    place.style.minHeight = "0";
    // ast: expressions are interpreted, since the page's policy lets nothing be compiled
    return vegaEmbed(place, chart, { actions: false, renderer: "svg", ast: true, tooltip: { theme: isDark ? "dark" : "light" } });
  }

  async function drawAll() {
    const mine = ++round;
    for (const place of places) {
      await draw(place, dark.matches);
      await new Promise((resume) => setTimeout(resume)); // let the reader scroll meanwhile
      if (mine !== round) return;
    }
    document.documentElement.dataset.drawn = "yes";
  }

  let width = innerWidth, waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      if (innerWidth !== width) { width = innerWidth; drawAll(); }
    }, 200);
  });
  dark.addEventListener("change", drawAll);
  // Paper is light, and whatever was not drawn yet is drawn now.
  addEventListener("beforeprint", () => { round++; for (const place of places) draw(place, false); });
  addEventListener("afterprint", drawAll);
  drawAll();
})();
