/** Chooses a checkpoint: a sample, a URL, files picked or dropped. Its value is the open checkpoint. */
import type {Checkpoint} from 'tfjs-linear';
import {repositoryUrl} from '../../chat/hub.js';
import {type TaskControl, type TaskElement, task} from './task.js';

export type Source = string | readonly File[];
type Open = (source: Source, options: {signal: AbortSignal; onProgress: (event: Progress) => void}) => Promise<Checkpoint>;

interface Progress {
  readonly file: string;
  readonly loaded: number;
  readonly total: number | null;
}

/** Label → path beside the notebook. */
export type Samples = Readonly<Record<string, string>>;

export function openForm(samples: Samples, open: Open): TaskElement<Checkpoint> {
  const fields = document.createElement('fieldset');
  fields.innerHTML = `
    <label>Sample <select name="sample"></select></label>
    <label class="wide">or a Hugging Face repository or URL <input name="url" placeholder="owner/name, or https://….gguf"></label>
    <label>or files (drop them here)
      <input name="files" type="file" multiple accept=".gguf,.safetensors,.json,.jinja">
    </label>`;
  const field = <T extends HTMLElement>(name: string) => fields.querySelector(`[name=${name}]`) as T;
  const sample = field<HTMLSelectElement>('sample');
  const url = field<HTMLInputElement>('url');
  const files = field<HTMLInputElement>('files');
  for (const label of Object.keys(samples)) sample.add(new Option(label));

  const source = (): Source => {
    const picked = Array.from(files.files ?? []);
    if (picked.length > 0) return picked;
    const text = url.value.trim();
    return repositoryUrl(text) ?? new URL(text || (samples[sample.value] ?? ''), document.baseURI).href;
  };
  const work = ({signal, progress}: TaskControl) =>
    open(source(), {signal, onProgress: ({file, loaded, total}) => progress(loaded, total ?? 0, file)});
  // The one before stays open: cells that have not heard yet may still read it, and a page's sources hold nothing but memory.
  const form = task('Open', work, {auto: true, fields: [fields]});
  // Cells wait for the first checkpoint.
  form.value = undefined;

  // One choice at a time: the latest wins.
  sample.onchange = () => {
    url.value = '';
    files.value = '';
    form.run();
  };
  files.onchange = () => form.run();
  url.onchange = () => {
    files.value = '';
  };
  form.ondragover = (event) => {
    event.preventDefault();
    form.classList.add('over');
  };
  form.ondragleave = () => form.classList.remove('over');
  form.ondrop = (event) => {
    event.preventDefault();
    form.classList.remove('over');
    const dropped = event.dataTransfer?.files;
    if (dropped === undefined || dropped.length === 0) return;
    files.files = dropped;
    form.run();
  };
  return form;
}
