import { render } from "preact";
import { App } from "./app.tsx";
import { showMarks } from "./visible.ts";

showMarks();
const place = document.querySelector("#app")!;
place.textContent = "";
render(<App />, place);
