// A package's file on its way: the form goes first, then the file in slices, each at the offset that the server has.
// A lost connection is waited for; after a reload the same file goes on where it stopped. Without this file the form
// is sent as it is, file and all.
(function () {
  "use strict";

  const form = document.querySelector("form[data-upload]");
  const box = document.getElementById("upload");
  if (!form || !box || !form.elements.file) return;

  const spoken = JSON.parse(form.dataset.spoken);
  const sliceSize = Number(form.dataset.upload);
  const language = document.documentElement.lang;
  const part = (name) => document.getElementById(`upload-${name}`);
  const LONGEST_PAUSE = 30000; // milliseconds
  let file = null;      // under way
  let address = "";     // of the draft
  let offset = 0;       // bytes that the server has
  let running = null;   // the request under way
  let wanted = false;   // not paused
  let wake = null;      // ends a pause early
  let marks = [];       // [moment, bytes]: what the rate is made of
  let told = -1;        // the tenth of the way that was read out last

  const token = () => form.elements.csrf.value;
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  function size(bytes) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    while (bytes >= 1024 && unit < units.length - 1) { bytes /= 1024; unit += 1; }
    return `${bytes.toLocaleString(language, { maximumFractionDigits: unit > 1 ? 1 : 0 })} ${units[unit]}`;
  }

  function duration(seconds) {
    seconds = Math.max(1, Math.round(seconds));
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
    return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds % 3600 / 60)} min`;
  }

  function show(done) {
    const now = performance.now();
    marks.push([now, done]);
    while (marks.length > 2 && now - marks[0][0] > 8000) marks.shift();
    part("bar").value = 1000 * done / file.size;
    part("share").textContent = fill(spoken.share, { done: size(done), size: size(file.size) });
    const [since, had] = marks[0];
    if (now - since > 700 && done > had) {
      const rate = 1000 * (done - had) / (now - since);
      part("rate").textContent = fill(spoken.rate, { rate: size(rate), left: duration((file.size - done) / rate) });
    }
    const tenth = Math.floor(10 * done / file.size);
    if (tenth !== told) { told = tenth; say(`${10 * tenth} %`); } // a screen reader hears ten numbers, not thousands
  }

  function say(text, bad) {
    part("said").textContent = text;
    part("said").className = bad ? "bad" : "quiet";
  }

  // One request. Answers {status, told}; status 0: no answer.
  function ask(method, url, body, type, progress) {
    return new Promise((resolve) => {
      const request = running = new XMLHttpRequest();
      request.open(method, url);
      request.setRequestHeader("Accept", "application/json");
      if (method !== "GET") request.setRequestHeader("X-CSRF-Token", token());
      if (type) request.setRequestHeader("Content-Type", type);
      if (progress) request.upload.onprogress = progress;
      request.onloadend = () => {
        let said = null;
        try { said = JSON.parse(request.responseText); } catch (error) { said = null; }
        running = null;
        resolve({ status: request.status, told: said });
      };
      request.send(body);
    });
  }

  const pause = (milliseconds) => new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    wake = () => { clearTimeout(timer); resolve(); };
  });
  window.addEventListener("online", () => { if (wake) wake(); });

  function refuse(field, sentence) {
    const one = field ? form.elements[field] : null;
    const fault = document.createElement("div");
    fault.className = "alert alert-danger upload-fault";
    fault.setAttribute("role", "alert");
    fault.id = "upload-fault";
    fault.textContent = sentence;
    if (one && one.classList && !one.disabled) {
      one.classList.add("is-invalid");
      one.setAttribute("aria-invalid", "true");
      one.after(fault);
      one.focus();
    } else {
      form.prepend(fault);
      fault.scrollIntoView({ block: "center" });
    }
  }

  function forgive() {
    form.querySelectorAll(".upload-fault").forEach((one) => one.remove());
    form.querySelectorAll(".is-invalid").forEach((one) => { one.classList.remove("is-invalid"); one.removeAttribute("aria-invalid"); });
  }

  function busy(on) {
    box.hidden = !on;
    form.hidden = on;
    wanted = on;
    window.onbeforeunload = on ? (event) => { event.preventDefault(); } : null;
  }

  async function begin() {
    forgive();
    const fields = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (typeof value === "string" && name !== "csrf") fields.append(name, value);
    fields.append("file-name", file.name);
    fields.append("file-size", String(file.size));
    const send = document.getElementById("send");
    send.disabled = true;
    const { status, told: answer } = await ask("POST", form.getAttribute("action"), fields, "");
    send.disabled = false;
    if (answer && answer.address) { // from here on a reload and a second try find the same draft
      address = answer.address;
      form.action = address;
      history.replaceState(null, "", address);
    }
    if (status !== 200 || !answer) {
      refuse(answer ? answer.field : "", answer ? answer.sentence : status === 401 ? spoken.ended : spoken.lost);
      return;
    }
    offset = answer.offset;
    part("title").textContent = fill(spoken.sending, { file: file.name });
    part("stop").textContent = spoken.stop;
    marks = [];
    busy(true);
    part("stop").focus();
    await sendAll();
  }

  // Where the server is; a page that somebody signed in for, in another tab, has another token.
  async function look() {
    const there = await ask("GET", `${address}/file`, null, "");
    if (there.status === 200 && there.told) {
      offset = there.told.offset;
      form.elements.csrf.value = there.told.token;
      marks = [];
      told = -1;
    }
    return there;
  }

  async function sendAll() {
    let wait = 500;
    show(offset);
    while (wanted && offset < file.size) {
      const at = offset;
      const slice = file.slice(at, Math.min(at + sliceSize, file.size));
      const { status, told: answer } = await ask(
        "POST", `${address}/file?offset=${at}`, slice, "application/octet-stream", (event) => show(at + event.loaded));
      if (status === 200 && answer) {
        offset = answer.offset;
        wait = 500;
        show(offset);
        continue;
      }
      if (!wanted) break;
      if ([400, 404, 413].includes(status)) { // it will not be better by itself
        busy(false);
        refuse(answer ? answer.field : "", answer ? answer.sentence : spoken.lost);
        return;
      }
      if (status !== 409) say(status === 401 || status === 403 ? spoken.ended : spoken.lost, true);
      await pause(wait);
      wait = Math.min(2 * wait, LONGEST_PAUSE);
      if (!wanted) break;
      const there = await look();
      if (there.status === 404 || (there.told && there.told.size !== file.size)) { // dropped or changed elsewhere
        busy(false);
        refuse("", there.status === 404 && there.told ? there.told.sentence : spoken.lost);
        return;
      }
    }
    if (!wanted) return;
    say(spoken.arrived);
    part("rate").textContent = "";
    part("stop").hidden = true;
    window.onbeforeunload = null;
    const on = document.createElement("form");
    on.method = "post";
    on.action = `${address}/ready`;
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = "csrf";
    field.value = token();
    on.append(field);
    document.body.append(on);
    on.submit();
  }

  part("stop").addEventListener("click", async () => {
    if (wanted) {
      wanted = false;
      part("stop").textContent = spoken.go;
      say(spoken.paused);
      if (running) running.abort();
      if (wake) wake();
      return;
    }
    const there = await look();
    if (!there.told) { say(there.status === 200 ? spoken.ended : spoken.lost, true); return; }
    wanted = true;
    part("stop").textContent = spoken.stop;
    await sendAll();
  });

  form.addEventListener("submit", (event) => {
    file = form.elements.file.files[0] || null;
    if (!file) return; // nothing to send in slices
    event.preventDefault();
    begin();
  });
})();
