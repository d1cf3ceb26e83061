// TFL_TARGET("avx2,...") until TFL_TARGET_END: functions in between are compiled for these instructions. Standard headers come before, so that
// nothing of them is.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "../layout.h"

#define TFL_DO(x) _Pragma(#x)
#if defined(__clang__)
#define TFL_TARGET(names) TFL_DO(clang attribute push(__attribute__((target(names))), apply_to = function))
#define TFL_TARGET_END TFL_DO(clang attribute pop)
#else
#define TFL_TARGET(names) TFL_DO(GCC push_options) TFL_DO(GCC target(names))
#define TFL_TARGET_END TFL_DO(GCC pop_options)
#endif
