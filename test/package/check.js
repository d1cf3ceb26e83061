/**
 * What an installed package must do, wherever it runs: a GPTQ layer from files, right numbers, inside a tf.js model, saved and loaded, and an error
 * that says which it is. `source`: what openCheckpoint takes for the fixture. Runs in Node, and in pages made by bundlers.
 */
const MODULE = 'model.layers.0.self_attn.k_proj';

/** The largest |y - ref| / |ref| of a row. */
function worstRow(y, ref, n) {
  let worst = 0;
  for (let row = 0; row < ref.length / n; row++) {
    let [difference, size] = [0, 0];
    for (let i = row * n; i < (row + 1) * n; i++) {
      difference += (y[i] - ref[i]) ** 2;
      size += ref[i] ** 2;
    }
    worst = Math.max(worst, Math.sqrt(difference / size));
  }
  return worst;
}

async function refusal(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return null;
}

/** Classes that a saved model may name, and that nothing in a page may import: a bundler must not drop them. */
const CLASSES = ['TflLinear', 'TflMLP', 'TflGPTQLinear', 'TflColumnParallelLinear', 'TflDistributedMLP', 'TflStackedLinear', 'TflMLPV1'];

/** → {backend, error, same, name, isError, loaded, missing}; each as it is found, for the caller to judge. */
export async function checkPackage(tf, {openCheckpoint, MissingError}, source) {
  const checkpoint = await openCheckpoint(source);
  const layer = await checkpoint.linear(MODULE);
  const x = await checkpoint.tensor('ref.x');
  const ref = await checkpoint.tensor('ref.y');
  const y = layer.forward(x);
  const error = worstRow(await y.data(), await ref.data(), layer.outDim);

  const model = tf.sequential({layers: [layer, tf.layers.reLU()]});
  const predicted = await model.predict(x).data();
  const relu = await tf.relu(y).data();
  let saved;
  const handler = tf.io.withSaveHandler(async (artifacts) => {
    saved = artifacts;
    return {modelArtifactsInfo: {dateSaved: new Date(), modelTopologyType: 'JSON'}};
  });
  await model.save(handler);
  const loaded = await tf.loadLayersModel(tf.io.fromMemory(saved));
  const again = await loaded.predict(x).data();

  const refused = await refusal(() => checkpoint.linear('nowhere'));
  await checkpoint.close();
  return {
    backend: tf.getBackend(),
    error,
    same: predicted.every((v, i) => v === relu[i]),
    loaded: again.every((v, i) => v === predicted[i]),
    name: refused?.name ?? null,
    isError: refused instanceof MissingError,
    missing: CLASSES.filter((name) => tf.serialization.SerializationMap.getMap().classNameMap[name] === undefined),
  };
}

/** What README's example made: a layer, and a model of the reader's that begins with it. → {error, same} */
export async function checkExample({checkpoint, layer, model}) {
  const x = await checkpoint.tensor('ref.x');
  const ref = await checkpoint.tensor('ref.y');
  const y = layer.forward(x);
  const rest = model.layers.slice(model.layers.indexOf(layer) + 1);
  const expected = await rest.reduce((h, next) => next.apply(h), y).data();
  const predicted = await model.predict(x).data();
  return {
    error: worstRow(await y.data(), await ref.data(), layer.outDim),
    same: rest.length > 0 && predicted.every((v, i) => v === expected[i]),
  };
}

/** A layer over this thread and a worker, which is started from source inside the package. → its numbers, [11, 22, 33] */
export async function checkWorker(tf, {ColumnParallelLinear, startWorkers}) {
  const [worker] = await startWorkers(1);
  const layer = new ColumnParallelLinear({inDim: 2, outDim: 3, devices: [tf.getBackend(), worker]});
  layer.loadStateDict({weight: tf.tensor2d([1, 10, 2, 20, 3, 30], [3, 2])});
  const y = await layer.forwardAsync(tf.ones([1, 2]));
  return Array.from(await y.data());
}
