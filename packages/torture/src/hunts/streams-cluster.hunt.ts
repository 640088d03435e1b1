import { huntStreams } from "./stream-hunt.ts";

export const hunt = huntStreams("cluster");
