import { options, type ComponentChildren } from "preact";

/** Turn the direction of a text, or break its line, and are not seen. */
const MARKS = /[\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/g;

/** `text`, in which a name from elsewhere looks like no other one. */
export const visible = (text: string): string =>
  text.replace(MARKS, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** In one place for all text of the pages. */
export function showMarks(): void {
  const former = options.vnode;
  options.vnode = (node) => {
    const { children } = node.props as { readonly children?: ComponentChildren };
    if (typeof node.type === "string" && children !== undefined)
      Object.assign(node.props, { children: shown(children) });
    former?.(node);
  };
}

function shown(children: ComponentChildren): ComponentChildren {
  if (typeof children === "string") return visible(children);
  return Array.isArray(children) ? children.map(shown) : children;
}
