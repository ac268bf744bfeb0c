// The two tabs. A tab's worker starts when it is first shown.
import { openBreed } from "./breed.js";
import { find, say, served } from "./view.js";
import { openWatch } from "./watch.js";

const tabs = [
  { name: "watch", open: openWatch },
  { name: "breed", open: openBreed },
];

async function choose(chosen, focus) {
  for (const tab of tabs) {
    const selected = tab.name === chosen;
    const button = find(`tab-${tab.name}`);
    button.setAttribute("aria-selected", selected);
    button.tabIndex = selected ? 0 : -1;
    find(tab.name).hidden = !selected;
    if (!selected) tab.opened?.then((shown) => shown?.hide?.());
    if (!selected) continue;
    if (focus) button.focus();
    if (tab.opened) tab.opened.then((shown) => shown?.show?.());
    else tab.opened = tab.open().catch((error) => say(`The page cannot start: ${error.message}`));
  }
}

for (const [place, tab] of tabs.entries()) {
  const button = find(`tab-${tab.name}`);
  button.onclick = () => choose(tab.name);
  button.onkeydown = ({ key }) => {
    if (key === "ArrowLeft" || key === "ArrowRight") choose(tabs[(place + 1) % tabs.length].name, true);
  };
}
addEventListener("hashchange", () => location.hash.startsWith("#g=") && choose("breed"));
// `fooling breed` serves the page for breeding only: there is no run to watch.
find("tabs").hidden = served;
choose(served || location.hash.startsWith("#g=") || location.hash === "#breed" ? "breed" : "watch");
