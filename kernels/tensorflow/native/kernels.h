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

}  // namespace tfl
