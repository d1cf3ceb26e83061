// The checkpoints that `bench loading` and `bench chat` read: made here, fetched as the demo fetches its model, and those of ../shared where it is.
import fs from 'node:fs';
import path from 'node:path';
import {runPrograms} from './bench_run.mjs';
import {ROOT} from './browser.mjs';

const FOLDER = '.cache/bench';

/** → [{format, folder, files}] with absolute folders */
export async function loadingModels() {
  const [made] = await runPrograms({entry: 'test/grid/bench.ts', call: 'tflWriteLoadingModels', requests: [{folder: FOLDER}]});
  if (made.error) throw new Error(made.error);
  const models = made.map(({name, format, file}) => ({format, folder: path.join(ROOT, FOLDER, name), files: [file]}));
  const chat = await chatModel();
  models.push({format: 'SmolLM2-135M, GGUF Q4_1', folder: path.dirname(chat), files: [path.basename(chat)]});
  const shared = path.join(ROOT, '../shared/models/smollm2-135m-gptq');
  if (fs.existsSync(path.join(shared, 'model.safetensors'))) {
    models.push({format: 'SmolLM2-135M, GPTQ 4 bit', folder: shared, files: ['model.safetensors']});
  }
  return models;
}

/** → the path of the demo's model, fetched where it is not there yet */
export async function chatModel() {
  const [found] = await runPrograms({entry: 'test/grid/bench_model_node.ts', call: 'tflChatModelPath', requests: [{}]});
  if (typeof found === 'string') return found;
  throw new Error(found.error);
}
