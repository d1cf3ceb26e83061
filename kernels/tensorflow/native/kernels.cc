#include "kernels.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <vector>

#include "finish.h"
#include "ops.h"
#include "tf_api.h"
#include "threads.h"

namespace tfl {
namespace {

// What the attributes of a call say; TensorFlow keeps it for the next call that says the same.
struct Kernel {
  std::vector<int32_t> call;
  Layout layout;
  float table[16] = {};
  const float* decoded = nullptr;
  const Isa* isa;
};

float small_float(int code, int exponent_bits, int mantissa_bits, int bias, bool fnuz) {
  const int exponent = (code >> mantissa_bits) & ((1 << exponent_bits) - 1), mantissa = code & ((1 << mantissa_bits) - 1);
  if (fnuz ? code == 128 : exponent_bits == 4 ? (code & 127) == 127 : exponent == 31 && mantissa != 0) return NAN;
  const float sign = code & 128 ? -1.0f : 1.0f;
  if (!fnuz && exponent_bits == 5 && exponent == 31) return sign * INFINITY;
  const float value = exponent == 0 ? std::ldexp(float(mantissa), 1 - bias - mantissa_bits)
                                    : std::ldexp(float((1 << mantissa_bits) + mantissa), exponent - bias - mantissa_bits);
  return sign * value;
}

// The 256 numbers of an 8-bit float.
const float* numbers_of(Decode decode) {
  static const std::vector<float> tables = [] {
    std::vector<float> all;
    for (int code = 0; code < 256; code++) all.push_back(small_float(code, 4, 3, 7, false));
    for (int code = 0; code < 256; code++) all.push_back(small_float(code, 5, 2, 15, false));
    for (int code = 0; code < 256; code++) all.push_back(small_float(code, 4, 3, 8, true));
    for (int code = 0; code < 256; code++) all.push_back(small_float(code, 5, 2, 16, true));
    return all;
  }();
  return tables.data() + 256 * (int(decode) - int(Decode::kE4m3));
}

bool is_float8(Decode d) { return d >= Decode::kE4m3 && d <= Decode::kE5m2Fnuz; }

// Reads the attributes. Null, with TensorFlow told, where they are not what this build expects.
Kernel* create(void* construction, int call_fields) {
  Status status;
  auto kernel = std::make_unique<Kernel>();
  kernel->call.resize(call_fields);
  std::vector<int32_t> fields(kLayoutFields);
  read_list(construction, "call", kernel->call.data(), call_fields, status);
  read_list(construction, "layout", fields.data(), kLayoutFields, status);
  if (list_size(construction, "table", status) != 0) read_list(construction, "table", kernel->table, 16, status);
  if (!status.ok()) {
    tf.OpKernelConstruction_Failure(construction, status.handle);
    return nullptr;
  }
  std::memcpy(&kernel->layout, fields.data(), sizeof(Layout));
  if (is_float8(kernel->layout.decode)) kernel->decoded = numbers_of(kernel->layout.decode);
  kernel->isa = instruction_set(kernel->call[0]);
  return kernel.release();
}

Weight weight_of(const Kernel& kernel, const Input& words) {
  Weight w;
  w.layout = kernel.layout;
  std::memcpy(w.table, kernel.table, sizeof w.table);
  w.decoded = kernel.decoded;
  w.e4m3 = numbers_of(Decode::kE4m3);
  w.words = words.data<uint32_t>();
  w.length = size_t(words.dim(0));
  return w;
}

constexpr int kProductFields = 7, kUnpackFields = 5;

// Columns of y handed out at a time: whole panels of every instruction set.
constexpr int kColumnStep = 32;

// p.m rows of x, at most kMaxRows. false: x holds what the variant's 16-bit integers cannot.
bool multiply_slab(Product p, const Isa& isa) {
  const size_t scratch = scratch_bytes(p.weight.layout.in_dim), width = (size_t(p.weight.layout.in_dim) + 511) & ~size_t(511);
  const bool floats = p.variant == Variant::kFloatRows || p.variant == Variant::kFloatPanels;
  const bool as_given = p.variant == Variant::kFloatRows && p.weight.layout.order < 0;
  const bool panels = p.variant == Variant::kPanels || p.variant == Variant::kFloatPanels;
  p.height = panels ? (p.m + 7) & ~7 : p.m;
  p.stride = (p.blocks() + 31) & ~15;
  const size_t terms = floats ? 0 : size_t(p.height) * p.stride, planes = p.variant == Variant::kRowsInPlace ? p.weight.layout.planes : 1;
  const size_t values = as_given ? 0 : size_t(p.height) * width * (floats ? 4 : 2 * planes);
  char* memory = thread_memory(2 * terms * sizeof(float) + values + 192);
  p.steps = reinterpret_cast<float*>(memory);
  p.sums = p.steps + terms;
  std::memset(memory, 0, 2 * terms * sizeof(float));
  char* at = memory + ((2 * terms * sizeof(float) + 63) & ~size_t(63));
  if (p.height > p.m) std::memset(at, 0, values);
  p.floats = floats && !as_given ? reinterpret_cast<float*>(at) : nullptr;
  p.integers = floats ? nullptr : reinterpret_cast<int16_t*>(at);
  if (!as_given) {
    std::atomic<bool> good{true};
    share(p.m, 4, scratch, [&](int begin, int end, char* s) {
      for (int m = begin; m < end; m++) {
        if (!isa.prepare(p, m, s)) good = false;
      }
    });
    if (!good) return false;
  }
  share(p.end - p.begin, kColumnStep, scratch, [&](int begin, int end, char* s) {
    isa.multiply(p, begin, end, s);
    finish(p, begin, end);
  });
  return true;
}

}  // namespace

void* create_product(void* construction) { return create(construction, kProductFields); }
void destroy_product(void* kernel) { delete static_cast<Kernel*>(kernel); }

void compute_product(void* opaque, void* context) {
  const Kernel& kernel = *static_cast<Kernel*>(opaque);
  Status status;
  Input x(context, 0, status), words(context, 1, status), bias(context, 2, status);
  if (!status.ok()) return tf.OpKernelContext_Failure(context, status.handle);
  Product p = {};
  p.variant = Variant(kernel.call[1]);
  p.block = kernel.call[2];
  p.begin = kernel.call[3];
  p.end = kernel.call[4];
  p.activation = Activation(kernel.call[5]);
  const int64_t columns = p.end - p.begin, in_dim = kernel.layout.in_dim;
  if (x.rank() != 2 || x.dim(1) != in_dim || words.rank() != 1) return fail(context, "QuantizedMatMul: x or words do not fit the layout");
  if (kernel.call[6] && (bias.rank() != 1 || bias.dim(0) != columns)) return fail(context, "QuantizedMatMul: bias does not fit the layout");
  Output y(context, 0, kTfFloat, {x.dim(0), columns}, status);
  if (!status.ok()) return tf.OpKernelContext_Failure(context, status.handle);
  p.weight = weight_of(kernel, words);
  p.bias = kernel.call[6] ? bias.data<float>() : nullptr;
  for (int64_t m = 0; m < x.dim(0); m += kMaxRows) {
    p.x = x.data<float>() + m * in_dim;
    p.y = y.data() + m * columns;
    p.m = int32_t(std::min<int64_t>(kMaxRows, x.dim(0) - m));
    if (multiply_slab(p, *kernel.isa)) continue;
    Product fine = p;
    fine.block = kFineBlock;
    if (p.block > kFineBlock && multiply_slab(fine, *kernel.isa)) continue;
    Product exact = p;
    exact.variant = p.variant == Variant::kPanels ? Variant::kFloatPanels : Variant::kFloatRows;
    multiply_slab(exact, *kernel.isa);
  }
}

void* create_unpack(void* construction) { return create(construction, kUnpackFields); }
void destroy_unpack(void* kernel) { delete static_cast<Kernel*>(kernel); }

void compute_unpack(void* opaque, void* context) {
  const Kernel& kernel = *static_cast<Kernel*>(opaque);
  Status status;
  Input words(context, 0, status), rows(context, 1, status);
  if (!status.ok()) return tf.OpKernelContext_Failure(context, status.handle);
  const int begin = kernel.call[2], end = kernel.call[3];
  const bool chosen = kernel.call[4] != 0;
  if (words.rank() != 1 || (chosen && rows.rank() != 1)) return fail(context, "UnpackWeight: words or rows do not fit the layout");
  const int64_t count = chosen ? rows.dim(0) : end - begin;
  const int32_t* list = chosen ? rows.data<int32_t>() : nullptr;
  for (int64_t i = 0; chosen && i < count; i++) {
    if (list[i] < 0 || list[i] >= end - begin) return fail(context, "UnpackWeight: a row outside the weight");
  }
  Output out(context, 0, kTfFloat, {count, kernel.layout.in_dim}, status);
  if (!status.ok()) return tf.OpKernelContext_Failure(context, status.handle);
  const Unpack u = {weight_of(kernel, words), kernel.call[1], begin, list, out.data()};
  share(int(count), 16, scratch_bytes(kernel.layout.in_dim), [&](int first, int last, char* s) { kernel.isa->unpack(u, first, last, s); });
}

}  // namespace tfl
