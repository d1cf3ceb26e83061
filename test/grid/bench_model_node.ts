/** Where the chat model of the demo lies on this machine. For Node alone: pages are given its URL. */
import {defaultModel} from '../../examples/chat/default_model.js';
import {progressOnStderr} from '../../examples/chat/progress.js';

/** Its path; fetched where it is not there yet. */
async function chatModelPath(): Promise<string> {
  return defaultModel(progressOnStderr(), new AbortController().signal);
}

Object.assign(globalThis, {tflChatModelPath: chatModelPath});
