"use strict";
(async () => {
  const packed = Uint8Array.from(atob(document.getElementById("charts").textContent), (each) => each.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const charts = await new Response(unpacked).json();
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
