// Everything works without this script. With it, the menu folds away on a phone and errors get the focus.
import { initAll } from "./nhsuk.js";

document.body.classList.add("js-enabled", "nhsuk-frontend-supported");
initAll();
