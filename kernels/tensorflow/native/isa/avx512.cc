// The kernels for AVX-512 without VNNI.
#if defined(__x86_64__)
#include "begin.h"

namespace tfl {
TFL_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
namespace avx512 {
#include "simd_avx512.h"
#include "terms.h"
#include "expand.h"
#include "prepare.h"
#include "rows.h"
#include "panels.h"
#include "quantize.h"
}  // namespace avx512
TFL_TARGET_END

static bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
      && __builtin_cpu_supports("avx512dq");
}
const Isa kAvx512 = {"avx512", supported, avx512::prepare_row, avx512::multiply, avx512::unpack_rows,
                 avx512::quantize_rows, avx512::largest_of};
}  // namespace tfl
#endif
