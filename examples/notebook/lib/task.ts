/** A button that runs something long: a bar, a way to stop it, and its result as the value of the element. */

export interface TaskControl {
  readonly signal: AbortSignal;
  /** `done` of `total`, and what is being done. */
  progress(done: number, total: number, text?: string): void;
}

export interface TaskOptions {
  /** Run at once, not on a click. Default false. */
  auto?: boolean;
  /** Elements put before the button. */
  fields?: readonly Node[];
}

export type TaskElement<T> = HTMLFormElement & {value: T | null | undefined; run(): Promise<void>};

/** The value is null until a run has ended well; a stopped or failed run leaves the value before. Views hear `input` when it changes. */
export function task<T>(label: string, work: (control: TaskControl) => Promise<T>, options: TaskOptions = {}): TaskElement<T> {
  const form = document.createElement('form') as TaskElement<T>;
  form.className = 'task';
  form.innerHTML =
    '<button type="submit"></button><button type="button" disabled>Stop</button><progress hidden></progress><span role="status"></span>';
  const [submit, stop] = form.querySelectorAll('button') as unknown as [HTMLButtonElement, HTMLButtonElement];
  const bar = form.querySelector('progress') as HTMLProgressElement;
  const status = form.querySelector('span') as HTMLSpanElement;
  submit.textContent = label;
  form.prepend(...(options.fields ?? []));
  form.value = null;

  const control = (signal: AbortSignal): TaskControl => ({
    signal,
    progress(done, total, text = '') {
      if (signal.aborted) return;
      bar.max = total || 1;
      bar.value = done;
      status.textContent = text;
    },
  });
  let current: AbortController | null = null;
  form.run = async () => {
    // The latest run wins: one before that is still going would else end later, and its result stay. One that has ended keeps its signal.
    current?.abort();
    const abort = new AbortController();
    current = abort;
    stop.onclick = () => abort.abort();
    submit.disabled = true;
    stop.disabled = false;
    bar.removeAttribute('value');
    bar.hidden = false;
    status.className = '';
    status.textContent = '';
    const start = performance.now();
    try {
      const value = await work(control(abort.signal));
      if (current !== abort) return;
      form.value = value;
      status.textContent = `done in ${((performance.now() - start) / 1000).toFixed(2)} s`;
      form.dispatchEvent(new Event('input', {bubbles: true}));
    } catch (error) {
      if (current !== abort) return;
      status.className = abort.signal.aborted ? '' : 'error';
      status.textContent = abort.signal.aborted ? 'stopped' : error instanceof Error ? error.message : String(error);
    } finally {
      if (current === abort) {
        current = null;
        bar.hidden = true;
        submit.disabled = false;
        stop.disabled = true;
      }
    }
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    form.run();
  };
  if (options.auto) queueMicrotask(() => form.run());
  return form;
}
