// The module's exports. It lives in tf.js's own heap: no static data, no allocator, no stack.
export {appendHeads, attend} from './attention';
export {runChain} from './chain';
export {finish} from './epilogue';
export {unpackRows} from './expand';
export {addTo, gated, rmsNorm} from './fused';
export {gemm} from './gemm';
export {gemmFloats, packFloats} from './gemm_floats';
export {gemv, gemvBytes} from './gemv';
export {dotKind, gemvDots, prepareBytes} from './gemv_dots';
export {gemvFloats, prepareFloats} from './gemv_floats';
export {packRows} from './panels';
export {prepareCodes, prepareRow} from './prepare';
export {quantize} from './quantize';
