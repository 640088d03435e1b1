import { onContentUpdated } from "vitepress";
// The fonts of the reader's machine: none is loaded.
import theme from "vitepress/theme-without-fonts";
// After the theme, whose rules it changes.
import "./style.css";

export default { extends: theme, setup: () => onContentUpdated(() => requestAnimationFrame(showPageInMenu)) };

/** The menu is long: it opens where the page stands in it. */
function showPageInMenu() {
  const menu = document.querySelector(".VPSidebar");
  const link = menu?.querySelector(".VPSidebarItem.is-active > .item");
  if (!menu || !link) return;
  const below = link.getBoundingClientRect().top - menu.getBoundingClientRect().top;
  menu.scrollTop += below - menu.clientHeight / 2;
}
