/** Talks to a language model out of the open checkpoint, with the parts of the chat example. */
import type {Checkpoint} from 'tfjs-linear';
import {StreamingText} from '../../chat/detokenizer.js';
import {generate} from '../../chat/generate.js';
import {loadLlama} from '../../chat/load.js';
import {closingLine} from '../../chat/report.js';
import {randomFrom} from '../../chat/sampler.js';
import {tokenizerOf} from '../../chat/tokenizer.js';
import {onBackend} from './queue.js';
import {type TaskElement, task} from './task.js';

/** Reads the whole model on each question, and lets go of it after the answer. Value of the element: the answer. */
export function talkForm(checkpoint: Checkpoint, backends: readonly string[]): TaskElement<string> {
  const fields = document.createElement('fieldset');
  fields.innerHTML = `
    <label class="wide">Prompt <textarea name="prompt" rows="2">What is the capital of France?</textarea></label>
    <label>Backend <select name="backend"></select></label>
    <label>Tokens <input name="tokens" type="number" min="1" value="64"></label>`;
  const field = <T extends HTMLElement>(name: string) => fields.querySelector(`[name=${name}]`) as T;
  const backend = field<HTMLSelectElement>('backend');
  for (const name of backends) backend.add(new Option(name));
  backend.value = backends.includes('wasm') ? 'wasm' : (backends[0] ?? '');
  const answer = document.createElement('output');
  const form = task(
    'Answer',
    async ({signal, progress}) => {
      answer.textContent = '';
      return onBackend(backend.value, async () => {
        progress(0, 0, 'loading');
        const tokenizer = await tokenizerOf(checkpoint);
        const model = await loadLlama(checkpoint, {signal});
        try {
          const stream = new StreamingText((ids) => tokenizer.decode(ids, false));
          const maxTokens = field<HTMLInputElement>('tokens').valueAsNumber;
          const prompt = tokenizer.encodeChat([{role: 'user', content: field<HTMLTextAreaElement>('prompt').value}]);
          let done = 0;
          const result = await generate(model, prompt, {
            maxTokens,
            temperature: 0,
            random: randomFrom(1),
            endIds: tokenizer.endIds,
            signal,
            onToken: (id) => {
              answer.append(stream.push(id));
              progress(++done, maxTokens, 'answering');
            },
          });
          answer.append(stream.end());
          return `${answer.textContent}\n\n${closingLine(model.bytes, result, backend.value)}`;
        } finally {
          model.dispose();
        }
      });
    },
    {fields: [fields]},
  );
  form.append(answer);
  return form;
}
