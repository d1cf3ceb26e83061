// ONNX models of one layer with random weights, written as protobuf by hand: for the runtimes that `bench --peers` times. In a page and in Node.
const encoder = new TextEncoder();

function varint(value) {
  const out = [];
  let rest = BigInt(value);
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    out.push(rest > 0n ? low | 128 : low);
  } while (rest > 0n);
  return Uint8Array.from(out);
}

function concat(...parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

// Fields of protobuf messages: a number, bytes, a text.
const number = (field, value) => concat(varint(field << 3), varint(value));
const bytes = (field, value) => concat(varint((field << 3) | 2), varint(value.length), value);
const text = (field, value) => bytes(field, encoder.encode(value));

// onnx.TensorProto.DataType
const FLOAT = 1;
const UINT8 = 2;
const INT8 = 3;

const bytesOf = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const tensor = (name, type, dims, array) =>
  bytes(5, concat(...dims.map((dim) => number(1, dim)), number(2, type), text(8, name), bytes(9, bytesOf(array))));
const integer = (name, value) => bytes(5, concat(text(1, name), number(3, value), number(20, 2)));
const dimension = (dim) => bytes(1, typeof dim === 'number' ? number(1, dim) : text(2, dim));
const value = (field, name, dims) =>
  bytes(field, concat(text(1, name), bytes(2, bytes(1, concat(number(1, FLOAT), bytes(2, concat(...dims.map(dimension))))))));
const operator = (inputs, type, domain, attributes = []) =>
  bytes(1, concat(...inputs.map((name) => text(1, name)), text(2, 'Y'), text(3, type), text(4, type), ...attributes, text(7, domain)));
const opset = (domain, version) => bytes(8, concat(text(1, domain), number(2, version)));

const CONTRIB = 'com.microsoft';

/** y [M, N] = x [M, K] by this operator and its weights. */
function model(node, weights, {K, N}) {
  const graph = concat(node, text(2, 'layer'), ...weights, value(11, 'A', ['M', K]), value(12, 'Y', ['M', N]));
  return concat(number(1, 8), bytes(7, graph), opset('', 17), opset(CONTRIB, 1));
}

/** 0 to 255, the same at every call. */
function randomBytes(length) {
  const out = new Uint8Array(length);
  let seed = 1;
  for (let i = 0; i < length; i++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    out[i] = seed >>> 24;
  }
  return out;
}

const floats = (length, scale, shift) => Float32Array.from(randomBytes(length), (byte) => (byte / 256 + shift) * scale);

/** Weights of 4 or 8 bits in blocks: the layout of GPTQ-like ONNX models. accuracy 0: float32 activations; 4: rounded to 8 bits. */
export function matMulNBits({K, N, bits = 4, blockSize = 32, accuracy = 0}) {
  const blocks = K / blockSize;
  const attributes = Object.entries({K, N, bits, block_size: blockSize, accuracy_level: accuracy}).map(([name, v]) => integer(name, v));
  const codes = tensor('B', UINT8, [N, blocks, (blockSize * bits) / 8], randomBytes((N * K * bits) / 8));
  const scales = tensor('S', FLOAT, [N * blocks], floats(N * blocks, 0.01, 0));
  return model(operator(['A', 'B', 'S'], 'MatMulNBits', CONTRIB, attributes), [codes, scales], {K, N});
}

/** float32 */
export function matMul({K, N}) {
  return model(operator(['A', 'B'], 'MatMul', ''), [tensor('B', FLOAT, [K, N], floats(K * N, 1, -0.5))], {K, N});
}

/** int8 weights with one scale, activations rounded on the fly: what quantize_dynamic makes ("q8"). */
export function dynamicInt8({K, N}) {
  const weights = [
    tensor('B', INT8, [K, N], new Int8Array(randomBytes(K * N).buffer)),
    tensor('S', FLOAT, [], Float32Array.of(0.001)),
    tensor('Z', INT8, [], new Uint8Array(1)),
  ];
  return model(operator(['A', 'B', 'S', 'Z'], 'DynamicQuantizeMatMul', CONTRIB), weights, {K, N});
}
