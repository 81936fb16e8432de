// What pages gain with scripts: parts that stay up to date, ids that can be copied. Without, nothing is missing.
"use strict";

/** Puts a button behind everything that can be copied. */
function offerCopies(root) {
  for (const item of root.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "copy";
    button.setAttribute("aria-label", "Copy " + (item.dataset.copyName ?? item.dataset.copy));
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(item.dataset.copy);
        button.textContent = "copied";
      } catch {
        getSelection().selectAllChildren(item);
        button.textContent = "selected";
      }
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
    item.after(button);
  }
}

/** Marks rows that were not there before. */
function markFresh(before, after) {
  const known = new Set([...before.querySelectorAll("tbody a[href]")].map((link) => link.getAttribute("href")));
  if (known.size === 0) return;
  for (const row of after.querySelectorAll("tbody tr")) {
    const link = row.querySelector("a[href]");
    if (link && !known.has(link.getAttribute("href"))) row.classList.add("fresh");
  }
}

/** Fetches the page again and puts its live part in place of the one that is shown. */
async function refresh(live) {
  const answer = await fetch(location.href, { credentials: "same-origin", redirect: "manual" });
  if (!answer.ok) return live;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = page.getElementById("live");
  // Somebody who reads, selects or types is not disturbed.
  const busy = live.contains(document.activeElement) || String(getSelection()) !== "" || live.querySelector("details[open]");
  if (!next || busy || next.textContent === live.dataset.text) return live;
  next.dataset.text = next.textContent;
  markFresh(live, next);
  offerCopies(next);
  live.replaceWith(next);
  return next;
}

async function keepUp() {
  let live = document.getElementById("live");
  while (live && live.dataset.live) {
    await new Promise((done) => setTimeout(done, Number(live.dataset.live)));
    if (document.hidden) continue;
    try {
      live = await refresh(live);
    } catch {
      // The server is away for a moment; the next time may do.
    }
  }
}

offerCopies(document);
keepUp();
