import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { clock, duration } from "../format.ts";

export interface Series {
  readonly name: string;
  /** `main` in the accent colour, `bad` in red. */
  readonly tone: "main" | "bad" | "quiet";
  readonly values: readonly (number | null)[];
}

const HEIGHT = 120;
const EDGE = 4;

/** Lines over time. The last values, or those under the pointer, stand above as text. */
export function Chart(props: {
  readonly title: string;
  readonly at: readonly number[];
  readonly series: readonly Series[];
  /** The top of the scale. @default the largest value */
  readonly max?: number;
  readonly show: (value: number | null | undefined) => string;
  /** Instants to which a list next to the charts has the texts. */
  readonly marks?: readonly number[];
}): JSX.Element {
  const { title, at, series, show, marks = [] } = props;
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(600);
  const [chosen, setChosen] = useState<number>();
  useEffect(() => {
    const watcher = new ResizeObserver(([entry]) => entry !== undefined && setWidth(entry.contentRect.width));
    watcher.observe(box.current!);
    return () => watcher.disconnect();
  }, []);
  const top = props.max ?? niceTop(Math.max(0, ...series.flatMap(({ values }) => values.map((value) => value ?? 0))));
  const last = at.length - 1;
  const index = chosen === undefined ? last : Math.min(chosen, last);
  const x = (i: number): number => (last <= 0 ? width : (i / last) * width);
  const y = (value: number): number => EDGE + (HEIGHT - 2 * EDGE) * (1 - Math.min(1, value / top));
  const label = `${title}, last ${duration(at[last]! - at[0]!)}: ${series.map(({ name, values }) => `${name} ${show(values[last])}`).join(", ")}`;
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        {series.map(({ name, tone, values }) => (
          <span key={name} class={`legend ${tone === "bad" && !values[index] ? "quiet" : tone}`}>
            {name} <b>{show(values[index])}</b>
          </span>
        ))}
        {chosen !== undefined && at[index] !== undefined && <span class="chart-time">{clock(at[index])}</span>}
      </figcaption>
      <div
        ref={box}
        class="plot"
        onPointerMove={(event) => {
          const { left } = event.currentTarget.getBoundingClientRect();
          if (last > 0) setChosen(Math.max(0, Math.round(((event.clientX - left) / width) * last)));
        }}
        onPointerLeave={() => setChosen(undefined)}
      >
        <span class="plot-top" aria-hidden="true">
          {show(top)}
        </span>
        <svg width={width} height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={label}>
          {[0, 0.5, 1].map((part) => (
            <line key={part} class="grid" x1={0} x2={width} y1={y(part * top)} y2={y(part * top)} />
          ))}
          {marks.map((mark) => {
            const left = ((mark - at[0]!) / Math.max(1, at[last]! - at[0]!)) * width;
            return left < 0 ? null : <line key={mark} class="mark" x1={left} x2={left} y1={0} y2={HEIGHT} />;
          })}
          {series.filter(isDrawn).map(({ name, tone, values }) => (
            <path key={name} class={`line ${tone}`} d={pathOf(values, x, y)} />
          ))}
          {chosen !== undefined && <line class="pointer" x1={x(index)} x2={x(index)} y1={0} y2={HEIGHT} />}
        </svg>
      </div>
      <div class="plot-times" aria-hidden="true">
        <span>{last > 0 && `${duration(at[last]! - at[0]!)} ago`}</span>
        <span>now</span>
      </div>
    </figure>
  );
}

/** A red line at 0 would hide those below it, and say that something is wrong. */
const isDrawn = ({ tone, values }: Series): boolean => tone !== "bad" || values.some((value) => (value ?? 0) > 0);

/** Gaps where there is no value. */
function pathOf(values: readonly (number | null)[], x: (i: number) => number, y: (value: number) => number): string {
  let path = "";
  let isGap = true;
  for (const [i, value] of values.entries()) {
    if (value !== null) path += `${isGap ? "M" : "L"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
    isGap = value === null;
  }
  return path;
}

/** 1, 2 or 5, times a power of 10. */
function niceTop(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 5].find((step) => step * power >= value) ?? 10);
}
