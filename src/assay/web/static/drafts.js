"use strict";
// What was typed into a form of some length is kept in this tab until it has been saved: a session that ends, a reload
// or a way back takes nothing of it.

function readDraft(path) {
  try { return JSON.parse(sessionStorage.getItem(`draft:${path}`)); } catch { return null; }
}

function writeDraft(path, draft) {
  try { sessionStorage.setItem(`draft:${path}`, JSON.stringify(draft)); } catch { /* no room, or not allowed */ }
}

function dropDraft(path) {
  try { sessionStorage.removeItem(`draft:${path}`); } catch { /* not allowed, so there is none */ }
}

function keepDraft(form) {
  const path = form.dataset.draft;
  const fields = [...form.querySelectorAll("[data-kept]")];
  const note = form.querySelector("[data-draft-note]");
  const given = fields.map((field) => field.value);
  const keep = (isSent) => writeDraft(path, { texts: fields.map((field) => field.value), isSent });
  const fill = (texts) => fields.forEach((field, index) => { field.value = texts[index]; });

  const draft = readDraft(path);
  if (draft && "posted" in form.dataset) {
    keep(false); // the page has what was sent, and the draft follows it
  } else if (draft && fields.some((field, index) => field.type !== "hidden" && field.value !== draft.texts[index])) {
    fill(draft.texts);
    note.hidden = false;
  }
  form.addEventListener("input", (event) => { if (fields.includes(event.target)) keep(false); });
  form.addEventListener("submit", (event) => {
    if (readDraft(path) && !event.submitter?.hasAttribute("formaction")) keep(true);
  });
  note.querySelector("button").addEventListener("click", () => {
    fill(given);
    form.dispatchEvent(new Event("input"));
    dropDraft(path);
    note.hidden = true;
    fields.at(-1).focus();
  });
}

// Pages that are shown when a form has been saved name its draft; one that was typed into since then is another.
for (const place of document.querySelectorAll("[data-ends-drafts]")) {
  for (const path of place.dataset.endsDrafts.split(" ")) if (readDraft(path)?.isSent) dropDraft(path);
}
for (const form of document.querySelectorAll("form[data-draft]")) keepDraft(form);
document.querySelector("form[action='/sign-out']")?.addEventListener("submit", () => {
  try { sessionStorage.clear(); } catch { /* not allowed, so there is nothing */ }
});
