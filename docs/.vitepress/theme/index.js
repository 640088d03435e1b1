import { onContentUpdated } from "vitepress";
// The fonts of the reader's machine: none is loaded.
import theme from "vitepress/theme-without-fonts";
// After the theme, whose rules it changes.
import "./style.css";

export default { extends: theme, setup: () => onContentUpdated(() => requestAnimationFrame(arrange)) };

function arrange() {
  showPageInMenu();
  keepSearchInBar();
}

/** The menu is long: it opens where the page stands in it. */
function showPageInMenu() {
  const menu = document.querySelector(".VPSidebar");
  const link = menu?.querySelector(".VPSidebarItem.is-active > .item");
  if (!menu || !link) return;
  const below = link.getBoundingClientRect().top - menu.getBoundingClientRect().top;
  menu.scrollTop += below - menu.clientHeight / 2;
}

/** On a phone the bar that stays at the top has the search, too: the other is at the beginning of the page. */
function keepSearchInBar() {
  const menu = document.querySelector(".VPLocalNav .menu");
  if (!menu || menu.parentElement.querySelector(".search")) return;
  const button = document.createElement("button");
  button.className = "search";
  button.textContent = "Search";
  button.addEventListener("click", () => document.querySelector(".VPNavBarSearch button")?.click());
  menu.after(button);
}
