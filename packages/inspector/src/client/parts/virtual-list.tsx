import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Column } from "./basics.tsx";

/** Heights of a row in pixels, the same as in `virtual-list.css`. */
const ROW_HEIGHT = { wide: 36, narrow: 60 };
const NARROW = "(width <= 720px)";
const PAGE = 100;
/** Rows above and below those that are seen. */
const AROUND = 10;

/**
 * A list of any length, of which only the rows that are seen are in the document. Rows are asked for a page at a time.
 *
 * @param props.first the rows from 0, which came with the list.
 * @param props.id a list with another id starts anew.
 */
export function VirtualList<Row>(props: {
  readonly id: string;
  readonly label: string;
  readonly columns: readonly Pick<Column<Row>, "name" | "isFigure">[];
  readonly total: number;
  readonly first: readonly Row[];
  readonly load: (offset: number, limit: number) => Promise<readonly Row[]>;
  readonly row: (row: Row) => readonly ComponentChildren[];
}): JSX.Element {
  const { id, total, first, load, columns, label } = props;
  const rowHeight = useRowHeight();
  const box = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState({ from: 0, to: 40 });
  const pages = useRef(new Map<number, readonly Row[] | "asked">());
  const [, redraw] = useState(0);
  const listed = useRef("");
  if (listed.current !== `${id} ${total}`) {
    listed.current = `${id} ${total}`;
    pages.current = new Map([[0, first]]);
  }
  useEffect(() => {
    if (box.current !== null) box.current.scrollTop = 0;
    look();
  }, [id]);
  const look = (): void => {
    // It has left the page meanwhile.
    if (box.current === null) return;
    const { scrollTop, clientHeight } = box.current;
    const from = Math.max(0, Math.floor(scrollTop / rowHeight) - AROUND);
    const to = Math.min(total, Math.ceil((scrollTop + clientHeight) / rowHeight) + AROUND);
    setSeen((before) => (before.from === from && before.to === to ? before : { from, to }));
  };
  const last = Math.min(seen.to, total);
  useEffect(() => {
    const held = pages.current;
    for (let page = Math.floor(seen.from / PAGE); page * PAGE < last; page += 1) {
      if (held.has(page)) continue;
      held.set(page, "asked");
      load(page * PAGE, PAGE).then(
        (rows) => {
          held.set(page, rows);
          redraw((n) => n + 1);
        },
        () => held.delete(page),
      );
    }
  }, [seen, id, total]);
  const rows = Array.from({ length: Math.max(0, last - seen.from) }, (_, i) => {
    const at = seen.from + i;
    const page = pages.current.get(Math.floor(at / PAGE));
    return { at, row: Array.isArray(page) ? (page as readonly Row[])[at % PAGE] : undefined };
  });
  return (
    <div
      class="virtual"
      ref={box}
      tabIndex={0}
      role="table"
      aria-label={label}
      aria-rowcount={total + 1}
      aria-colcount={columns.length}
      onScroll={look}
    >
      <div class="virtual-head" role="row" aria-rowindex={1}>
        {columns.map(({ name, isFigure }) => (
          <span role="columnheader" key={name} class={isFigure === true ? "number" : undefined}>
            {name}
          </span>
        ))}
      </div>
      <div class="virtual-body" role="rowgroup" style={{ height: `${total * rowHeight}px` }}>
        {rows.map(({ at, row }) => (
          <div
            class="virtual-row"
            role="row"
            key={at}
            aria-rowindex={at + 2}
            style={{ transform: `translateY(${at * rowHeight}px)` }}
          >
            {row === undefined ? (
              <span role="cell">…</span>
            ) : (
              props.row(row).map((cell, i) => (
                <span
                  role="cell"
                  key={columns[i]!.name}
                  class={columns[i]!.isFigure === true ? "number" : undefined}
                  data-column={columns[i]!.name}
                >
                  {cell}
                </span>
              ))
            )}
          </div>
        ))}
      </div>
    </div>
  );
}

function useRowHeight(): number {
  const [isNarrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const width = matchMedia(NARROW);
    const follow = (): void => setNarrow(width.matches);
    width.addEventListener("change", follow);
    return () => width.removeEventListener("change", follow);
  }, []);
  return isNarrow ? ROW_HEIGHT.narrow : ROW_HEIGHT.wide;
}
