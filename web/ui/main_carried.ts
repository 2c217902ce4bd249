/// <reference lib="dom" />
/** Entry of the page that carries its recording. */
import { start } from "./app.ts";
import { CarriedSource } from "./carried_source.ts";

void start(new CarriedSource());
