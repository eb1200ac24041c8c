"use strict";
// What the pages can do without a script, they do; this adds progress, drops, live states and a preview while typing.

function detailOf({ error }) {
  return typeof error.detail === "string" ? error.detail : JSON.stringify(error.detail);
}

async function faultOf(response) {
  try {
    return detailOf(await response.json());
  } catch {
    return `The service answered ${response.status}.`;
  }
}

// Parts of a page that change by themselves are renewed where they stand: focus, opened details and scrolled tables stay.
// A form is never touched. An element with an id is the same one as before, and a new one goes in between.
function renew(old, fresh) {
  if (old.isEqualNode(fresh) || (old.nodeName === "FORM" && fresh.nodeName === "FORM")) return;
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) { old.replaceWith(fresh); return; }
  if (old.nodeType === Node.TEXT_NODE) { old.data = fresh.data; return; }
  for (const { name } of [...old.attributes]) if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
  const shown = (node) => node.nodeType === Node.ELEMENT_NODE || (node.nodeType === Node.TEXT_NODE && node.data.trim());
  const kept = [...old.childNodes].filter(shown);
  for (const child of [...fresh.childNodes].filter(shown)) {
    if (!kept.length) old.append(child);
    else if (child.id && !document.getElementById(child.id)) kept[0].before(child);
    else renew(kept.shift(), child);
  }
  for (const gone of kept) gone.remove();
}

// Asks for the page again and renews its parts; whether that went well.
async function refresh() {
  const posted = document.querySelector("[data-posted]"); // what a form led to may have no page at its address
  let text;
  try {
    const response = await fetch(posted ? posted.dataset.draft : location.href, { headers: { Accept: "text/html" }, redirect: "error" });
    if (!response.ok) return false;
    text = await response.text();
  } catch {
    return false;
  }
  const page = new DOMParser().parseFromString(text, "text/html");
  const focused = document.activeElement;
  for (const part of document.querySelectorAll("[data-fresh]")) {
    const fresh = page.getElementById(part.id);
    if (fresh) renew(part, fresh);
  }
  if (!focused.isConnected) document.getElementById("main").focus({ preventScroll: true });
  enhanceAll();
  return true;
}

let isRefreshing = false;

async function refreshWhileBusy() {
  if (isRefreshing) return;
  isRefreshing = true;
  let pause = 2000;
  while (document.querySelector("[data-busy]")) {
    await new Promise((resolve) => setTimeout(resolve, document.hidden ? 5000 : pause));
    pause = await refresh() ? 2000 : Math.min(pause * 2, 30000);
  }
  isRefreshing = false;
}

// An import that runs: its piece of the page is asked for again and again, and the rest when it ends.
async function watch(region) {
  const announce = document.querySelector("[data-announce]");
  let pause = 500;
  while (region.dataset.live) {
    await new Promise((resolve) => setTimeout(resolve, document.hidden ? 5000 : pause));
    let response;
    try {
      response = await fetch(region.dataset.live, { headers: { Accept: "text/html" }, redirect: "manual" });
    } catch {
      response = null;
    }
    if (!response || response.status >= 500) { // the service restarts, or the network is away
      pause = Math.min(pause * 2, 10000);
      continue;
    }
    if (!response.ok) { location.reload(); return; } // the session has ended, or the dataset is gone
    const state = response.headers.get("X-Import-State");
    const piece = region.cloneNode(false);
    piece.innerHTML = await response.text();
    renew(region, piece);
    pause = 1000;
    if (state !== region.dataset.state) {
      region.dataset.state = state;
      announce.textContent = region.querySelector(".standing").textContent;
      if (["complete", "partial", "failed", "pending_schema"].includes(state) && !await refresh()) { location.reload(); return; }
    }
  }
}

// A preview while the schema is typed.
function enhancePreview(form) {
  const target = document.getElementById("preview");
  let [timer, latest] = [0, 0];
  async function ask() {
    latest += 1;
    const mine = latest;
    const body = new URLSearchParams(new FormData(form));
    let [text, fault] = ["", ""];
    try {
      const response = await fetch(form.dataset.preview, { method: "POST", body, headers: { "X-Fragment": "preview" } });
      if (response.ok) text = await response.text();
      else fault = await faultOf(response);
    } catch {
      fault = "The service did not answer.";
    }
    if (mine !== latest) return;
    if (fault) { tell(fault); return; }
    target.classList.remove("is-stale");
    target.innerHTML = text;
  }
  // What was there stays, to be seen as what it is: of another moment.
  function tell(fault) {
    const notice = document.createElement("p");
    notice.className = "notice notice-warn preview-fault";
    notice.textContent = `The preview can't be made now: ${fault} Try again.`;
    target.querySelector(".preview-fault")?.remove();
    target.prepend(notice);
    target.classList.add("is-stale");
  }
  form.addEventListener("input", () => {
    target.classList.add("is-stale");
    clearTimeout(timer);
    timer = setTimeout(ask, 400);
  });
  ask();
}

// Each form and each piece of a page once, those that come later too.
const enhanced = new WeakSet();

function enhanceAll() {
  const once = (selector, enhance) => {
    for (const element of document.querySelectorAll(selector)) {
      if (!enhanced.has(element)) { enhanced.add(element); enhance(element); }
    }
  };
  once("form[data-upload]", enhanceUpload);
  once("form[data-preview]", enhancePreview);
  once("[data-live]", watch);
  refreshWhileBusy();
}

enhanceAll();
