"use strict";
// The page asks the same endpoint that programs ask. Whatever comes from the gallery is set as text, never as markup.

const element = (id) => document.getElementById(id);
let query = null; // {image: base64} or {picture: token}, with where and when it is from, where known
let address = null; // of the picture that is shown
let round = 0; // answers to earlier questions are left out

async function ask(path, body) {
  const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  const response = await fetch(path, options);
  const answer = await response.json().catch(() => ({ error: `The server answered with code ${response.status}.` }));
  if (!response.ok) throw new Error(answer.error || `The server answered with code ${response.status}.`);
  return answer;
}

function say(text, wrong = false) {
  element("state").textContent = text;
  element("state").classList.toggle("wrong", wrong);
}

function picture(source, alternative) {
  const image = document.createElement("img");
  image.src = source;
  image.alt = alternative;
  return image;
}

function labelled(source, text) {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.textContent = text;
  figure.append(picture(source, text), caption);
  return figure;
}

function when(value) {
  return typeof value === "number" ? new Date(value * 1000).toISOString().replace(".000Z", " UTC").replace("T", " ") : value;
}

function facts(columns) {
  return Object.entries(columns).filter(([, value]) => value !== null).map(([name, value]) => [name, name === "time" ? when(value) : value]);
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error("The file cannot be read."));
    reader.readAsDataURL(file);
  });
}

function show(source) {
  address = source;
  element("shown").src = source;
  element("shown").hidden = false;
  element("hint").hidden = true;
}

async function take(file) {
  if (!file) return;
  try {
    query = { image: await base64(file) };
    show(URL.createObjectURL(file));
    for (const button of element("samples").children) button.setAttribute("aria-pressed", "false");
    await search();
  } catch (error) {
    say(error.message, true);
  }
}

async function search() {
  if (!query) return say("Drop or pick a picture first.", true);
  const mine = ++round;
  say("Searching ...");
  const begun = performance.now();
  try {
    const answer = await ask("/api/search", {
      ...query,
      modality: element("modality").value,
      top_k: Number(element("top_k").value) || 20,
      filter: element("filter").value.trim() || null,
      rerank: Number(element("rerank").value) || 0,
    });
    if (mine !== round) return;
    list(answer);
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    const count = answer.hits.length;
    let text = `${count} ${count === 1 ? "image" : "images"} in ${seconds} s; the query was taken as ${answer.query.modality}.`;
    if (answer.nobody) text = `Nobody in the gallery is this person, by the gallery's calibration. ${text}`;
    say(text);
    const looked = new URLSearchParams(location.search).get("look");
    if (looked !== null && mine === 1) answer.hits.filter((hit) => hit.rank === Number(looked)).forEach(closer);
    translate(answer.hits.find((hit) => hit.modality !== answer.query.modality), mine);
  } catch (error) {
    if (mine !== round) return;
    element("hits").replaceChildren();
    say(error.message, true);
  }
}

function list(answer) {
  const items = answer.hits.map((hit) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const score = document.createElement("span");
    score.className = "score";
    const rank = document.createElement("span");
    rank.textContent = `#${hit.rank}`;
    const value = document.createElement("span");
    value.textContent = hit.score.toFixed(3);
    score.append(rank, value);
    button.append(picture(`/pictures/${hit.picture}`, `Image ${hit.rank}`), score);
    if (typeof hit.probability === "number") button.append(line(`${Math.round(100 * hit.probability)} % the same person`));
    if ("camera" in hit.columns && hit.columns.camera !== null) button.append(line(`camera ${hit.columns.camera}`));
    if (typeof hit.columns.time === "number") button.append(line(when(hit.columns.time)));
    button.addEventListener("click", () => closer(hit));
    item.classList.toggle("match", hit.match === true);
    item.append(button);
    return item;
  });
  element("hits").replaceChildren(...items);
}

function line(text) {
  const div = document.createElement("div");
  div.className = "fact";
  div.textContent = text;
  return div;
}

async function closer(hit) {
  const dialog = element("closer");
  element("pair").replaceChildren(labelled(address, "query"), labelled(`/pictures/${hit.picture}`, `#${hit.rank}, ${hit.score.toFixed(3)}`));
  const rows = facts({ modality: hit.modality, ...hit.columns, ...(hit.path ? { path: hit.path } : {}) });
  const cells = rows.flatMap(([name, value]) => {
    const term = document.createElement("dt");
    const meaning = document.createElement("dd");
    term.textContent = name;
    if (name === "camera") {
      const link = document.createElement("a");
      link.href = "#";
      link.textContent = `${value}: search this camera`;
      link.addEventListener("click", (event) => {
        event.preventDefault();
        element("filter").value = `camera = ${typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : value}`;
        dialog.close();
        search();
      });
      meaning.append(link);
    } else {
      meaning.textContent = value;
    }
    return [term, meaning];
  });
  element("facts").replaceChildren(...cells);
  dialog.showModal();
  if (dialog.dataset.heat !== "yes") return;
  try {
    const heat = await ask("/api/heat", { ...query, modality: element("modality").value, other: hit.picture });
    element("pair").append(labelled(heat.query, "what the query shares"), labelled(heat.other, "what the image shares"));
  } catch (error) {
    element("pair").append(line(error.message));
  }
}

async function translate(hit, mine) {
  const made = element("made");
  made.hidden = true;
  if (element("closer").dataset.translations !== "yes") return;
  try {
    const body = { ...query, modality: element("modality").value };
    const pictures = await ask("/api/translation", hit ? { ...body, other: hit.picture } : body);
    if (mine !== round) return;
    made.replaceChildren(...Object.entries(pictures).map(([name, source]) => labelled(source, name)));
    made.hidden = !Object.keys(pictures).length;
  } catch {
    made.hidden = true; // the search itself has said what is wrong
  }
}

async function offer() {
  const samples = await ask("/api/samples");
  const buttons = samples.map((sample) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.append(picture(`/pictures/${sample.picture}`, `A picture of camera ${sample.camera ?? "unknown"}`));
    button.addEventListener("click", () => {
      query = { picture: sample.picture };
      show(`/pictures/${sample.picture}`);
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      search();
    });
    return button;
  });
  element("samples").replaceChildren(...buttons);
  element("samples").hidden = !buttons.length;
  const words = new URLSearchParams(location.search); // /?pick=0 shows the first one's search, &look=1 its first image closer
  const chosen = buttons[Number(words.get("pick") ?? -1)];
  if (chosen) chosen.click();
}

element("file").addEventListener("change", (event) => take(event.target.files[0]));
element("conditions").addEventListener("submit", (event) => { event.preventDefault(); search(); });
for (const name of ["dragenter", "dragover"]) element("drop").addEventListener(name, (event) => { event.preventDefault(); element("drop").classList.add("over"); });
for (const name of ["dragleave", "drop"]) element("drop").addEventListener(name, (event) => { event.preventDefault(); element("drop").classList.remove("over"); });
element("drop").addEventListener("drop", (event) => take(event.dataTransfer.files[0]));
element("drop").addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") element("file").click(); });
offer().catch((error) => say(error.message, true));
