// The kernels for AVX-512 with VNNI.
#if defined(__x86_64__)
#include "begin.h"
#define TFL_VNNI

namespace tfl {
TFL_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")
namespace avx512vnni {
#include "simd_avx512.h"
#include "terms.h"
#include "expand.h"
#include "prepare.h"
#include "rows.h"
#include "panels.h"
#include "quantize.h"
}  // namespace avx512vnni
TFL_TARGET_END

static bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
      && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}
const Isa kAvx512Vnni = {"avx512vnni", supported, avx512vnni::prepare_row, avx512vnni::multiply, avx512vnni::unpack_rows,
                 avx512vnni::quantize_rows, avx512vnni::largest_of};
}  // namespace tfl
#endif
