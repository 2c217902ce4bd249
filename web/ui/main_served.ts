/// <reference lib="dom" />
/** Entry of the page that a server stands behind. */
import { start } from "./app.ts";
import { ServedSource } from "./served_source.ts";

void start(new ServedSource());
