/** Prints the path or URL of the model to serve, after fetching it where it is not there yet. */
import {TfjsLinearError} from 'tfjs-linear';
import {findModel} from '../model_source.js';
import {progressOnStderr} from '../progress.js';

const progress = progressOnStderr();
try {
  process.stdout.write(await findModel(process.argv[2], progress, new AbortController().signal));
} catch (error) {
  progress.stop();
  process.stderr.write(`${error instanceof TfjsLinearError ? `${error.name}: ${error.message}` : (error as Error).stack}\n`);
  process.exitCode = 1;
}
