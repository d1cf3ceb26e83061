#include <cmath>
#include <memory>

#include "finish.h"
#include "kernels.h"
#include "tf_api.h"
#include "threads.h"

namespace tfl {
namespace {

struct Kernel {
  int32_t activation = 0;
  float epsilon = 0;
};

// Numbers a thread takes at a time.
constexpr int kStep = 4096;

void* made(void* construction, std::unique_ptr<Kernel> kernel, const Status& status) {
  if (status.ok()) return kernel.release();
  tf.OpKernelConstruction_Failure(construction, status.handle);
  return nullptr;
}

}  // namespace

void destroy_fused(void* kernel) { delete static_cast<Kernel*>(kernel); }

void* create_gated(void* construction) {
  Status status;
  auto kernel = std::make_unique<Kernel>();
  read_list(construction, "call", &kernel->activation, 1, status);
  return made(construction, std::move(kernel), status);
}

void compute_gated(void* opaque, void* context) {
  const Activation activation = Activation(static_cast<Kernel*>(opaque)->activation);
  Status status;
  Input x(context, 0, status);
  if (!status.ok()) return tf.OpKernelContext_Failure(context, status.handle);
  if (x.rank() != 2 || x.dim(1) % 2 != 0) return fail(context, "GatedActivation: x must be [M, an even number]");
  const int64_t rows = x.dim(0), columns = x.dim(1) / 2;
  Output y(context, 0, kTfFloat, {rows, columns}, status);
  if (!status.ok()) return tf.OpKernelContext_Failure(context, status.handle);
  const float* in = x.data<float>();
  float* out = y.data();
  share(int(rows * columns), kStep, 0, [&](int begin, int end, char*) {
    for (int64_t i = begin; i < end; i++) {
      const float* gate = in + i / columns * 2 * columns + i % columns;
      out[i] = float(activate(activation, gate[0]) * gate[columns]);
    }
  });
}

void* create_rms_norm(void* construction) {
  Status status;
  auto kernel = std::make_unique<Kernel>();
  read_list(construction, "numbers", &kernel->epsilon, 1, status);
  return made(construction, std::move(kernel), status);
}

void compute_rms_norm(void* opaque, void* context) {
  const double epsilon = static_cast<Kernel*>(opaque)->epsilon;
  Status status;
  Input x(context, 0, status), weight(context, 1, status);
  if (!status.ok()) return tf.OpKernelContext_Failure(context, status.handle);
  if (x.rank() != 2 || weight.rank() != 1 || weight.dim(0) != x.dim(1)) return fail(context, "RmsNorm: x must be [M, K] and weight [K]");
  const int64_t rows = x.dim(0), columns = x.dim(1);
  Output y(context, 0, kTfFloat, {rows, columns}, status);
  if (!status.ok()) return tf.OpKernelContext_Failure(context, status.handle);
  const float *in = x.data<float>(), *scale = weight.data<float>();
  float* out = y.data();
  share(int(rows), int(1 + kStep / (columns + 1)), 0, [&](int begin, int end, char*) {
    for (int64_t m = begin; m < end; m++) {
      const float* row = in + m * columns;
      // Four sums, so that each addition need not wait for the last.
      double sums[4] = {};
      for (int64_t k = 0; k < columns; k++) sums[k & 3] += double(row[k]) * row[k];
      const double factor = 1 / std::sqrt((sums[0] + sums[1] + sums[2] + sums[3]) / double(columns) + epsilon);
      for (int64_t k = 0; k < columns; k++) out[m * columns + k] = float(row[k] * factor * scale[k]);
    }
  });
}

}  // namespace tfl
