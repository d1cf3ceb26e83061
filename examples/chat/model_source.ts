/** Where the model comes from: what `--model` names, or the default model out of the cache folder. */
import {existsSync} from 'node:fs';
import path from 'node:path';
import {MissingError} from 'tfjs-linear';
import {defaultModel} from './default_model.js';
import {repositoryUrl} from './hub.js';
import type {Progress} from './progress.js';

/** A path or URL for `openCheckpoint`. Throws MissingError where `model` names nothing, SourceError where the default model cannot be had. */
export async function findModel(model: string | undefined, progress: Progress, signal: AbortSignal): Promise<string> {
  if (model === undefined) return defaultModel(progress, signal);
  if (/^(https?|file):\/\//i.test(model)) return model;
  // npm runs scripts in the package's folder and says in INIT_CWD where it was called.
  const found = [process.cwd(), process.env.INIT_CWD ?? ''].map((folder) => path.resolve(folder, model)).find((file) => existsSync(file));
  if (found !== undefined) return found;
  const url = repositoryUrl(model);
  if (url !== null) return url;
  throw new MissingError({
    where: '--model',
    expected: 'a folder, a file, a URL, or a Hugging Face repository (owner/name)',
    received: `'${model}', which is none of them`,
  });
}
