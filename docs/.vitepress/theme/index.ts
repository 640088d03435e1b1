/// <reference types="vitepress/client" />
// The fonts of the reader's machine: none is loaded.
export { default } from "vitepress/theme-without-fonts";
// After the theme, whose rules it changes.
import "./style.css";
