"use strict";
// What the pages can do without a script, they do; this adds progress, drops, live states and a preview while typing.

const units = ["bytes", "kB", "MB", "GB", "TB"];

function size(bytes) {
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) { bytes /= 1000; unit += 1; }
  return `${unit === 0 || bytes >= 9.95 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}

function seconds(value) {
  if (value < 60) return `${Math.max(1, Math.round(value))} s`;
  return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

async function faultOf(response) {
  try {
    const { error } = await response.json();
    return typeof error.detail === "string" ? error.detail : JSON.stringify(error.detail);
  } catch {
    return `The service answered ${response.status}.`;
  }
}

// Upload: each file by the upload URL where there is one of ours, else by the form itself.
function send(method, url, body, headers, onProgress, onRequest) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    onRequest(request);
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onload = () => {
      if (request.status < 400) { resolve(request); return; }
      let detail = `The service answered ${request.status}.`;
      try { detail = JSON.parse(request.responseText).error.detail; } catch { /* no envelope */ }
      reject(new Error(detail));
    };
    request.onerror = () => reject(new Error("The connection broke. Nothing of the file was taken; try again."));
    request.onabort = () => reject(new Error("Cancelled. Nothing of the file was taken."));
    request.send(body);
  });
}

async function uploadOne(form, file, onProgress, onRequest) {
  const data = new FormData(form);
  if (form.dataset.begin) {
    const body = new URLSearchParams({ form_token: data.get("form_token"), filename: file.name });
    const begun = await fetch(form.dataset.begin, { method: "POST", body, headers: { Accept: "application/json" } });
    if (!begun.ok) throw new Error(await faultOf(begun));
    const offer = await begun.json();
    await send("PUT", offer.upload_url, file, { "Content-Type": offer.content_type }, onProgress, onRequest);
    return offer.import_url;
  }
  const whole = new FormData();
  whole.set("form_token", data.get("form_token"));
  whole.set("file", file);
  const request = await send("POST", form.action, whole, { Accept: "application/json" }, onProgress, onRequest);
  return new URL(request.responseURL).pathname;
}

function enhanceUpload(form) {
  const input = form.querySelector("input[type=file]");
  const [bar, text] = [form.querySelector("progress"), form.querySelector(".upload-text")];
  const [panel, fault, button] = [form.querySelector(".upload-progress"), form.querySelector("[data-fault]"), form.querySelector("button[type=submit]")];
  let [isBusy, running] = [false, null];
  input.multiple = true;
  form.querySelector("[data-hint]").append(" – or drop it here");

  async function upload(files) {
    if (isBusy || !files.length) return;
    isBusy = true;
    fault.hidden = true;
    panel.hidden = false;
    button.disabled = true;
    let target = form.dataset.after;
    try {
      for (const file of files) {
        const started = performance.now();
        bar.value = 0;
        text.textContent = `${file.name}: starting`;
        target = await uploadOne(form, file, (loaded) => {
          const past = (performance.now() - started) / 1000;
          const left = loaded ? (past / loaded) * (file.size - loaded) : 0;
          bar.value = file.size ? Math.min(1, loaded / file.size) : 1;
          text.textContent = `${file.name}: ${size(Math.min(loaded, file.size))} of ${size(file.size)}` + (past > 1 && left > 1 ? `, ${seconds(left)} left` : "");
        }, (request) => { running = request; });
      }
      location.assign(files.length === 1 ? target : form.dataset.after);
    } catch (error) {
      fault.textContent = error.message;
      fault.hidden = false;
      panel.hidden = true;
    } finally {
      [isBusy, running] = [false, null];
      button.disabled = false;
    }
  }

  form.querySelector("[data-cancel]").addEventListener("click", () => running?.abort());
  form.addEventListener("submit", (event) => { event.preventDefault(); upload([...input.files]); });
  let depth = 0;
  form.addEventListener("dragenter", (event) => { event.preventDefault(); depth += 1; form.classList.add("is-over"); });
  form.addEventListener("dragover", (event) => event.preventDefault());
  form.addEventListener("dragleave", () => { depth -= 1; if (depth <= 0) form.classList.remove("is-over"); });
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    form.classList.remove("is-over");
    upload([...event.dataTransfer.files]);
  });
}

// An import that runs: its piece of the page is asked for again and again, and the page is loaded anew when it ends.
async function watch(region) {
  const announce = document.querySelector("[data-announce]");
  let pause = 500;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, document.hidden ? 5000 : pause));
    let response;
    try {
      response = await fetch(region.dataset.live, { headers: { Accept: "text/html" }, redirect: "error" });
    } catch {
      pause = Math.min(pause * 2, 10000); // the service restarts, or the session has ended
      if (pause >= 10000) { location.reload(); return; }
      continue;
    }
    if (!response.ok) { location.reload(); return; }
    const state = response.headers.get("X-Import-State");
    region.innerHTML = await response.text();
    pause = 1000;
    if (state !== region.dataset.state) {
      region.dataset.state = state;
      announce.textContent = region.querySelector(".standing").textContent;
      if (["complete", "partial", "failed", "pending_schema"].includes(state)) { location.reload(); return; }
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

// A page of what is under way is loaded again, but not under somebody's hands.
function reloadUnlessUsed() {
  const isUsed = document.activeElement?.matches("input, textarea, select, button, summary") ||
    [...document.querySelectorAll("input[type=file]")].some((input) => input.files.length);
  if (!isUsed) location.reload();
}

for (const form of document.querySelectorAll("form[data-upload]")) enhanceUpload(form);
for (const region of document.querySelectorAll("[data-live]")) watch(region);
for (const form of document.querySelectorAll("form[data-preview]")) enhancePreview(form);
if (document.querySelector("[data-reload-while-busy]")) setInterval(reloadUnlessUsed, 2000);
