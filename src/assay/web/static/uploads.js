"use strict";
// Uploading: each file by the upload URL where there is one of ours, else by the form itself; told file by file.

const CANCELLED = "Cancelled. Nothing of it was taken.";
const BROKEN = "The connection broke before the whole file had arrived. Nothing of it was taken; send it again.";
const UNKNOWN = "The connection broke, and the service does not say whether the whole file had arrived. Look among the imports before you send it again.";
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

// Resolves in any case. `fault` is empty where no answer came.
function send(method, url, body, headers, sending) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    sending.request = request;
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => sending.onProgress(event.loaded);
    request.onload = () => {
      if (request.status < 400) { resolve({ isTaken: true, url: request.responseURL }); return; }
      let fault = `The service answered ${request.status}.`;
      try { fault = detailOf(JSON.parse(request.responseText)); } catch { /* no envelope */ }
      resolve({ isTaken: false, fault });
    };
    request.onerror = request.onabort = () => resolve({ isTaken: false, fault: "" });
    request.send(body);
  });
}

// An import's state, asked for again while the service does not answer; null where it can't be had.
async function stateOf(importUrl) {
  for (const pause of [0, 1000, 2000, 4000]) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    try {
      const response = await fetch(`${importUrl}/live`, { headers: { Accept: "text/html" }, redirect: "error" });
      return response.ok ? response.headers.get("X-Import-State") : null;
    } catch { /* the service restarts, or the network is away */ }
  }
  return null;
}

// An upload that was not seen to end well: the service is asked whether it has the file. An import without one is ended,
// as nobody else has its URL.
async function findOut(importUrl, token, fault, sending) {
  let state = sending.isCancelled ? "uninitialised" : await stateOf(importUrl);
  if (state === "uninitialised") {
    const body = new URLSearchParams({ form_token: token });
    await fetch(`${importUrl}/cancel`, { method: "POST", body }).catch(() => null);
    state = await stateOf(importUrl);
  }
  if (state === "failed") return { fault: sending.isCancelled ? CANCELLED : fault || BROKEN };
  return state === null || state === "uninitialised" ? { fault: UNKNOWN } : { url: importUrl };
}

// Where the file's import is, or what is wrong.
async function uploadOne(form, file, sending) {
  const token = new FormData(form).get("form_token");
  if (!form.dataset.begin) {
    const whole = new FormData();
    whole.set("form_token", token);
    whole.set("file", file);
    const answer = await send("POST", form.action, whole, { Accept: "application/json" }, sending);
    if (answer.isTaken) return { url: new URL(answer.url).pathname };
    return { fault: sending.isCancelled ? CANCELLED : answer.fault || UNKNOWN };
  }
  const body = new URLSearchParams({ form_token: token, filename: file.name });
  let begun;
  try {
    begun = await fetch(form.dataset.begin, { method: "POST", body, headers: { Accept: "application/json" } });
  } catch {
    return { fault: "The service did not answer. Nothing of it was taken; send it again." };
  }
  if (!begun.ok) return { fault: await faultOf(begun) };
  const offer = await begun.json();
  if (sending.isCancelled) return findOut(offer.import_url, token, "", sending);
  const answer = await send("PUT", offer.upload_url, file, { "Content-Type": offer.content_type }, sending);
  return answer.isTaken ? { url: offer.import_url } : findOut(offer.import_url, token, answer.fault, sending);
}

function enhanceUpload(form) {
  const input = form.querySelector("input[type=file]");
  const [bar, text] = [form.querySelector("progress"), form.querySelector(".upload-text")];
  const [panel, results] = [form.querySelector(".upload-progress"), form.querySelector("[data-results]")];
  const [button, cancel] = [form.querySelector("button[type=submit]"), form.querySelector("[data-cancel]")];
  let sending = null;
  input.multiple = true;
  form.querySelector("[data-hint]").append(" – or drop it here");

  function show(file, place) {
    const started = performance.now();
    bar.value = 0;
    text.textContent = `${place}${file.name}: starting`;
    return (loaded) => {
      const past = (performance.now() - started) / 1000;
      const left = loaded ? (past / loaded) * (file.size - loaded) : 0;
      bar.value = file.size ? Math.min(1, loaded / file.size) : 1;
      text.textContent = `${place}${file.name}: ${size(Math.min(loaded, file.size))} of ${size(file.size)}` + (past > 1 && left > 1 ? `, ${seconds(left)} left` : "");
    };
  }

  function tell(file, { url, fault }) {
    const line = document.createElement("p");
    const name = document.createElement(url ? "a" : "strong");
    if (url) name.href = url; else line.className = "bad";
    name.textContent = file.name;
    line.append(name, `: ${url ? "uploaded" : fault}`);
    results.append(line);
  }

  async function upload(files) {
    if (sending || !files.length) return;
    sending = { request: null, isCancelled: false, onProgress: null };
    results.replaceChildren();
    panel.hidden = false;
    if (form.contains(document.activeElement)) cancel.focus();
    button.disabled = true;
    const outcomes = [];
    for (const [index, file] of files.entries()) {
      sending.onProgress = show(file, files.length > 1 ? `${index + 1} of ${files.length}, ` : "");
      const outcome = sending.isCancelled ? { fault: "Not sent." } : await uploadOne(form, file, sending);
      outcomes.push(outcome);
      if (files.length > 1 || outcome.fault) tell(file, outcome);
    }
    sending = null;
    button.disabled = false;
    if (!outcomes.some((outcome) => outcome.fault)) {
      location.assign(files.length === 1 ? outcomes[0].url : form.dataset.after);
      return;
    }
    if (document.activeElement === cancel) button.focus();
    panel.hidden = true;
    if (files.length > 1) input.value = ""; // those that were taken are not to be sent again
    refresh();
    if (!form.dataset.begin) setTimeout(refresh, 3000); // by then the service has noticed that a form broke off
  }

  cancel.addEventListener("click", () => {
    if (!sending) return; // all is sent, and the next page is on its way
    sending.isCancelled = true;
    sending.request?.abort();
  });
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
