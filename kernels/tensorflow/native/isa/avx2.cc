// The kernels for AVX2 with FMA and F16C.
#if defined(__x86_64__)
#include "begin.h"

namespace tfl {
TFL_TARGET("avx2,fma,f16c")
namespace avx2 {
#include "simd_avx2.h"
#include "terms.h"
#include "expand.h"
#include "prepare.h"
#include "rows.h"
#include "panels.h"
#include "quantize.h"
}  // namespace avx2
TFL_TARGET_END

static bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"); }
const Isa kAvx2 = {"avx2", supported, avx2::prepare_row, avx2::multiply, avx2::unpack_rows,
                 avx2::quantize_rows, avx2::largest_of};
}  // namespace tfl
#endif
