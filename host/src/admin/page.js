/* Replaces what is shown by what the server says now. Without scripts, the page is loaded again. */
setInterval(async () => {
  if (document.hidden || !getSelection().isCollapsed) return;
  try {
    const response = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw response.status;
    const text = await response.text();
    /* Without its style, which has the number of another answer and would be refused. */
    const part = text.slice(text.indexOf("<main>"), text.lastIndexOf("</main>") + "</main>".length);
    const main = new DOMParser().parseFromString(part, "text/html").querySelector("main");
    document.querySelector("main").replaceWith(main);
    document.title = "wasi-httpd: " + main.querySelector(".state").textContent;
    document.documentElement.classList.remove("stale");
  } catch {
    document.documentElement.classList.add("stale");
  }
}, 2000);
