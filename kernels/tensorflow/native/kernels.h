// The TensorFlow kernels behind our ops: what TF_NewKernelBuilder takes.
#pragma once

namespace tfl {

// x [M, K], words [L], bias [R] or x again for none -> y [M, R]. call: instruction set, variant, block, begin, end, activation, has bias.
void* create_product(void* construction);
void compute_product(void* kernel, void* context);
void destroy_product(void* kernel);

// words [L], rows int32 [R] or words again for all -> y [R, K]. call: instruction set, block, begin, end, has rows.
void* create_unpack(void* construction);
void compute_unpack(void* kernel, void* context);
void destroy_unpack(void* kernel);

// x [M, K], scale [1] or one an entry, or x again for dynamic scales -> codes int32 or numbers float32 [M, K], scales. call: instruction set, then
// QuantizeCall of quantize_kernel.cc; numbers: QuantizeNumbers.
void* create_quantize(void* construction);
void compute_quantize(void* kernel, void* context);
void destroy_quantize(void* kernel);

// x [M, 2 N] -> act(x[:, :N]) * x[:, N:]. call: activation.
void* create_gated(void* construction);
void compute_gated(void* kernel, void* context);

// x [M, K], weight [K] -> x / sqrt(mean(x^2) + epsilon) * weight. numbers: epsilon.
void* create_rms_norm(void* construction);
void compute_rms_norm(void* kernel, void* context);
void destroy_fused(void* kernel);

}  // namespace tfl
