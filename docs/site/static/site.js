// Dashboards: show the frame that the controls stand for. Guesses: choosing an answer unfolds the outcome.
// From the disk a browser lets no page read another, so the search there shows titles without their surroundings.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".w2s-panel").forEach(alive);
  document.querySelectorAll(".tag_guess").forEach(guess);
  reachable();
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(d => { d.open = true; }));
});

// What the theme leaves open for those who use a keyboard or a screen reader.
function reachable() {
  document.querySelectorAll(".caption[role=heading]").forEach(caption => { caption.ariaLevel = "2"; });
  document.querySelectorAll("summary[aria-label]").forEach(summary => summary.removeAttribute("aria-label"));
  document.querySelectorAll(".sidebar-drawer").forEach(side => { side.ariaLabel = "Pages"; });
  const wide = () => document.querySelectorAll("pre, .table-wrapper").forEach(box => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  });
  wide();
  ["toggle", "resize"].forEach(event => addEventListener(event, wide, true));
}

function element(name, attributes, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

function alive(panel) {
  const { controls, pieces, frames } = JSON.parse(panel.querySelector("script").textContent);
  const picture = panel.querySelector(".w2s-picture"), words = panel.querySelector("[role=status]");
  const at = controls.map(control => control.at);
  const show = () => {
    const frame = frames[controls.reduce((index, control, i) => index * control.options.length + at[i], 0)];
    picture.innerHTML = frame[1].map(piece => pieces[piece]).join("");
    words.textContent = frame[0];
  };
  const row = element("div", { className: "w2s-controls" });
  controls.forEach((control, i) => {
    let input, value = "";
    if (control.menu) {
      input = element("select", {}, ...control.options.map((text, index) => new Option(text, index)));
    } else {
      input = element("input", { type: "range", min: 0, max: control.options.length - 1, step: 1 });
      value = element("span", { ariaHidden: "true" }, control.options[at[i]]);
    }
    input.value = at[i];
    input.addEventListener("input", () => {
      at[i] = Number(input.value);
      if (value) value.textContent = control.options[at[i]];
      if (value) input.setAttribute("aria-valuetext", control.options[at[i]]);
      show();
    });
    if (value) input.setAttribute("aria-valuetext", control.options[at[i]]);
    row.append(element("label", {}, control.label + " ", input, value));
  });
  picture.before(row);
}

function guess(cell) {
  const list = cell.querySelector("ul");
  if (!list) return;
  const hidden = [];
  for (let next = cell.nextElementSibling; next; next = next.nextElementSibling) {
    hidden.push(...next.querySelectorAll("details"));
    if (next.matches(".tag_outcome")) {
      hidden.outcome = next;
      break;
    }
  }
  list.querySelectorAll("li").forEach(item => {
    const text = item.textContent.trim();
    const button = element("button", { type: "button", className: "w2s-guess" }, ...item.childNodes);
    button.addEventListener("click", () => {
      list.querySelectorAll("button").forEach(one => one.setAttribute("aria-pressed", one === button));
      hidden.forEach(one => { one.open = true; });
      const said = hidden.outcome?.querySelectorAll(".output pre, pre");
      said?.forEach(pre => {
        pre.textContent = pre.textContent.replace(/^(No guess was made|Your guess: .*?)\.(?= The run says)/m, () => `Your guess: ${text}.`);
      });
    });
    item.replaceChildren(button);
  });
}
