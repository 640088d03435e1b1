// The fonts of the reader's machine: none is loaded.
export { default } from "vitepress/theme-without-fonts";
