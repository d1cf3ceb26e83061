/** What the notebook's cells call. */
export {startBackends} from './backends.js';
export {backendTimes, bytesAndError, bytesByFormat, heatMap, histogram, shardMap} from './charts.js';
export {formatBytes, moduleNames, referenceNames, tensorRows} from './contents.js';
export {facts, note, steps} from './elements.js';
export {filesInput} from './files_input.js';
export {openForm} from './open_form.js';
export {modelFrom, quantise, quantizeConfig, sweep} from './quantise.js';
export {floats, relativeError, unpack} from './record.js';
export {runOnBackends, runSharded} from './run.js';
export {talkForm} from './talk.js';
export {task} from './task.js';
