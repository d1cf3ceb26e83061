/** The chat page in Chromium. Needs ../shared for its model. */
import {execFile} from 'node:child_process';
import path from 'node:path';
import {promisify} from 'node:util';
import {needsShared, sharedSource} from '../support/files.js';

describe('chat page', () => {
  it('answers a question with the model of its server', async () => {
    await needsShared();
    const model = await sharedSource('models/smollm2-135m-gptq');
    const {stdout} = await promisify(execFile)(process.execPath, [path.resolve('test/chat/page_check.mjs'), model]);
    const {answer, status} = JSON.parse(stdout) as {answer: string; status: string};
    expect(answer).toContain('Paris');
    expect(status).toMatch(/^weights 108 MiB resident .*\(end of text\); backend wasm$/);
  });
});
