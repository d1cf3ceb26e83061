// The kernels for any processor.
#include "begin.h"

namespace tfl {
namespace portable {
#include "simd_portable.h"
#include "terms.h"
#include "expand.h"
#include "prepare.h"
#include "rows.h"
#include "panels.h"
#include "quantize.h"
}  // namespace portable

static bool always() { return true; }
const Isa kPortable = {"portable", always, portable::prepare_row, portable::multiply, portable::unpack_rows,
                 portable::quantize_rows, portable::largest_of};
}  // namespace tfl
