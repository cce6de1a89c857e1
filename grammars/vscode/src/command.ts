// Which archdsl is run. An editor opens folders that others made, so nothing in a folder is run unless
// the folder is trusted, and nothing is looked for by a relative name.

import * as fs from "node:fs";
import * as path from "node:path";

const INSTALL = 'pip install "archdsl[editor]"';
const UPGRADE = 'pip install --upgrade "archdsl[editor]"';

export interface Place {
  /** What the user set as the path of archdsl; empty where nothing is set. */
  readonly path: string;
  readonly folders: readonly string[];
  readonly trusted: boolean;
  readonly environment: NodeJS.ProcessEnv;
  readonly platform: NodeJS.Platform;
  readonly isProgram: (file: string) => boolean;
}

export interface NotFound {
  readonly message: string;
}

/** The whole path of archdsl, or why there is none. */
export function findCommand(place: Place): string | NotFound {
  const { isAbsolute, join } = place.platform === "win32" ? path.win32 : path.posix;
  const name = place.platform === "win32" ? "archdsl.exe" : "archdsl";
  if (place.path) {
    if (!isAbsolute(place.path)) {
      return { message: `The setting archdsl.path has to be a whole path, and is "${place.path}".` };
    }
    if (!place.isProgram(place.path)) {
      return { message: `The setting archdsl.path names ${place.path}, which is no program.` };
    }
    return place.path;
  }
  const scripts = place.platform === "win32" ? "Scripts" : "bin";
  const inFolders = (place.trusted ? place.folders : []).flatMap((folder) =>
    [".venv", "venv"].map((environment) => join(folder, environment, scripts, name)),
  );
  // Windows itself would look into the folder that is open first; so the PATH is read here.
  const onPath = searchPath(place.environment)
    .split(place.platform === "win32" ? ";" : ":")
    .filter((folder) => isAbsolute(folder))
    .map((folder) => join(folder, name));
  const found = [...inFolders, ...onPath].find(place.isProgram);
  if (found) {
    return found;
  }
  const untrusted = place.folders.length > 0 && !place.trusted;
  const why = untrusted ? " on the PATH, and an environment in a folder that is not trusted is not run" : "";
  return { message: `archdsl was not found${why}. Install it with: ${INSTALL}` };
}

/** The PATH, which Windows calls Path. */
function searchPath(environment: NodeJS.ProcessEnv): string {
  const key = Object.keys(environment).find((name) => name.toUpperCase() === "PATH");
  return (key && environment[key]) || "";
}

export function isProgram(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

/** What to tell of a server that ended before it answered, from what it wrote. */
export function whyItEnded(command: string, written: string): string {
  if (/the language server needs/.test(written)) {
    return `The archdsl at ${command} has no language server. Install it there with: ${INSTALL}`;
  }
  if (/No such command/.test(written)) {
    return `The archdsl at ${command} is older than its language server. Install a newer one with: ${UPGRADE}`;
  }
  const last = written.trim().split("\n").pop()?.trim();
  return last ? `The archdsl at ${command} ended at once: ${last}` : `The archdsl at ${command} ended at once.`;
}
