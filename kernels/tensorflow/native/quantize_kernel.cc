#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "kernels.h"
#include "ops.h"
#include "tf_api.h"
#include "threads.h"

namespace tfl {
namespace {

// As ../native.ts sends them.
struct QuantizeCall {
  int32_t instructions, sharing, block, reciprocal, values, dynamic;
  int32_t kind, mantissa_bits, bias, nan, sign_bit, has_nan, fnuz;
};
struct QuantizeNumbers {
  // The divisor is the sum of two, as it may be no float32. global: 0 for one level of scales.
  float max, scale_bound, amax_floor, divisor, divisor_rest, global;
};
constexpr int kCallFields = sizeof(QuantizeCall) / 4, kNumberFields = sizeof(QuantizeNumbers) / 4;

struct Kernel {
  QuantizeCall call;
  QuantizeNumbers numbers;
};

SmallType type_of(const Kernel& k) {
  const QuantizeCall& c = k.call;
  return {SmallKind(c.kind), c.mantissa_bits, c.bias, c.nan, c.sign_bit, c.has_nan, c.fnuz, k.numbers.max};
}

float round_e4m3(const Isa& isa, float v) {
  const float one = 1.0f;
  float out;
  const SmallType e4m3 = {SmallKind::kFloat, 3, 7, 0x7f, 0x80, 1, 0, 448.0f};
  isa.quantize({e4m3, Sharing::kTensor, 0, 0, 1, 1, &v, &one, &one, &out}, 0, 1);
  return out;
}

// The dynamic scale of a largest magnitude, and what x is multiplied by instead of divided where the scheme says so.
void dynamic_scale(const Kernel& k, const Isa& isa, float amax, float* scale, float* inverse) {
  const QuantizeNumbers& n = k.numbers;
  const double divisor = double(n.divisor) + double(n.divisor_rest);
  const float floored = amax < n.amax_floor ? n.amax_floor : amax, bounded = floored > n.scale_bound ? n.scale_bound : floored;
  const float plain = float(double(bounded) / divisor);
  *inverse = bounded == 0 ? 0.0f : float(divisor / double(bounded));
  *scale = n.global == 0 ? plain : round_e4m3(isa, n.global * plain) / n.global;
}

}  // namespace

void* create_quantize(void* construction) {
  Status status;
  auto kernel = std::make_unique<Kernel>();
  read_list(construction, "call", reinterpret_cast<int32_t*>(&kernel->call), kCallFields, status);
  read_list(construction, "numbers", reinterpret_cast<float*>(&kernel->numbers), kNumberFields, status);
  if (status.ok()) return kernel.release();
  tf.OpKernelConstruction_Failure(construction, status.handle);
  return nullptr;
}

void destroy_quantize(void* kernel) { delete static_cast<Kernel*>(kernel); }

void compute_quantize(void* opaque, void* context) {
  const Kernel& kernel = *static_cast<Kernel*>(opaque);
  const QuantizeCall& call = kernel.call;
  const Isa& isa = *instruction_set(call.instructions);
  const Sharing sharing = Sharing(call.sharing);
  Status status;
  Input x(context, 0, status), scale(context, 1, status);
  if (!status.ok()) return tf.OpKernelContext_Failure(context, status.handle);
  if (x.rank() != 2) return fail(context, "Fp8Quantize: x must have rank 2");
  const int64_t rows = x.dim(0), columns = x.dim(1), blocks = sharing == Sharing::kBlock ? (columns + call.block - 1) / call.block : 1;
  const int64_t count = sharing == Sharing::kTensor ? 1 : sharing == Sharing::kRow ? columns : rows * blocks;
  int64_t given = 1;
  for (int i = 0; i < scale.rank(); i++) given *= scale.dim(i);
  if (!call.dynamic && given != 1 && given != count) return fail(context, "Fp8Quantize: scale does not fit x");
  Output out(context, 0, call.values ? kTfFloat : kTfInt32, {rows, columns}, status);
  if (!status.ok()) return tf.OpKernelContext_Failure(context, status.handle);
  const std::initializer_list<int64_t> scalar = {}, of_columns = {columns}, of_rows = {rows, blocks};
  Output scales(context, 1, kTfFloat, sharing == Sharing::kTensor ? scalar : sharing == Sharing::kRow ? of_columns : of_rows, status);
  if (!status.ok()) return tf.OpKernelContext_Failure(context, status.handle);

  std::vector<float> inverses(count);
  Quantize q = {type_of(kernel), sharing, call.block, call.reciprocal, call.values, int32_t(columns),
                x.data<float>(), scales.data(), inverses.data(), out.data<void>()};
  std::vector<float> amax(call.dynamic ? count : 0);
  // Alone, but with subnormal numbers as numbers.
  share(1, 1, 0, [&](int, int, char*) {
    if (call.dynamic) isa.largest(q, int(rows), amax.data());
    for (int64_t i = 0; i < count; i++) {
      float& s = scales.data()[i];
      if (call.dynamic) {
        dynamic_scale(kernel, isa, amax[i], &s, &inverses[i]);
      } else {
        s = scale.data<float>()[given == 1 ? 0 : i];
        inverses[i] = 1.0f / s;
      }
    }
  });
  share(int(rows), 16, 0, [&](int begin, int end, char*) { isa.quantize(q, begin, end); });
}

}  // namespace tfl
