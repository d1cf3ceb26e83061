/** onnxruntime-node's products in the process of the bench. For Node alone. */
import type {PeerProducts} from './bench_run.js';

interface Session {
  run(feeds: Record<string, unknown>): Promise<Record<string, {data: ArrayLike<number>}>>;
}

interface OnnxRuntime {
  InferenceSession: {create(model: Uint8Array, options: object): Promise<Session>};
  Tensor: new (type: string, data: Float32Array, dims: readonly number[]) => unknown;
}

type MakeModel = (shape: {K: number; N: number; blockSize: number; accuracy: number}) => Uint8Array;

/** runtime: path of the installed package; writer: URL of scripts/peers_onnx.mjs, which writes its models. */
export async function onnxProducts({runtime, writer}: {runtime: string; writer: string}): Promise<PeerProducts> {
  const {createRequire} = await import('node:module');
  const ort = createRequire(`${runtime}/`)(runtime) as OnnxRuntime;
  const {matMulNBits} = (await import(writer)) as {matMulNBits: MakeModel};
  return (values, m, n, k, threads) =>
    Promise.all(
      [128, 32].map(async (blockSize) => {
        const model = matMulNBits({K: k, N: n, blockSize, accuracy: 0});
        const session = await ort.InferenceSession.create(model, {executionProviders: ['cpu'], intraOpNumThreads: threads});
        const A = new ort.Tensor('float32', values, [m, k]);
        return {name: `onnxruntime-node q4 g${blockSize}, accuracy 0`, run: async () => (await session.run({A})).Y?.data};
      }),
    );
}
