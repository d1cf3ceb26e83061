// The layout of a packed weight as ../native/descriptor.ts sends it: one list of 32-bit integers, in the order of these fields.
#pragma once
#include <cstdint>
#include <cstring>

namespace tfl {

struct Grid {
  int32_t rows, columns, row_phase, column_phase, indexed, width;
};

enum class LevelType : int32_t { kFloat32, kFloat16, kBfloat16, kE8m0, kE4m3, kInt8, kUint8 };

struct Level {
  Grid grid;
  LevelType type;
  int32_t start;  // in words, as all starts
};

enum class Decode : int32_t { kInteger, kFloat32, kFloat16, kBfloat16, kE4m3, kE5m2, kE4m3Fnuz, kE5m2Fnuz, kTable };
enum class ZeroKind : int32_t { kNone, kConstant, kCodes };

struct Layout {
  int32_t out_dim, in_dim, row_words;
  int32_t planes, bits[3], plane_start[3];
  Decode decode;
  int32_t table_halves;  // 0: the table's numbers are no small integers; 1: they are; 2: their doubles are
  ZeroKind zero_kind;
  int32_t zero_value, zero_start[3];  // a value is unsigned
  Grid zero_grid;
  int32_t order, group_index;  // order: -1 for none
  int32_t scales, offsets, divide[2];
  Level scale[2], offset[2];
};

constexpr int kLayoutFields = sizeof(Layout) / sizeof(int32_t);

// How a product is made: along rows of W or in panels of them, with 16-bit integers or (Float...) with x as it is. See ../choose.ts.
enum class Variant : int32_t { kRowsInPlace, kRowsOfBytes, kPanels, kFloatRows, kFloatPanels };
enum class Activation : int32_t { kNone, kSilu, kGelu, kGeluTanh, kRelu, kTanh, kSigmoid };

// A layout, the numbers that go with it, and the words it reads.
struct Weight {
  Layout layout;
  float table[16];        // Decode::kTable
  const float* decoded;   // 256 numbers of an 8-bit float, where that is the decode
  const float* e4m3;      // 256 numbers, for levels
  const uint32_t* words;
  size_t length;
};

// One product y [m, end - begin] = act(x . W^T + bias).
struct Product {
  Weight weight;
  Variant variant;
  int32_t block;  // columns over which scale, offset and zero do not change, at most 128
  int32_t begin, end;
  Activation activation;
  const float* x;  // [m, K]
  const float* bias;  // [end - begin] or null
  float* y;
  int32_t m;

  // x as the variant takes it, see isa/prepare.h; of panels with rows of zeros up to `height`, a multiple of 8.
  int32_t height;
  int16_t* integers;
  float* floats;
  float* steps;  // [m, stride]
  float* sums;   // [m, stride], zeros after the blocks
  int32_t stride;

  int blocks() const { return (weight.layout.in_dim + block - 1) / block; }
};

// Rows of a weight as float32: row first + rows[i] (first + i where rows is null) to out[i].
struct Unpack {
  Weight weight;
  int32_t block, first;
  const int32_t* rows;
  float* out;
};

// What x is rounded to, and which of its entries share a scale: all, those of a row or of a block of columns of it, or those of a column (kRow:
// one row of scales).
enum class SmallKind : int32_t { kInteger, kBfloat, kFloat };
enum class Sharing : int32_t { kTensor, kColumn, kRow, kBlock };
struct SmallType {
  SmallKind kind;
  int32_t mantissa_bits, bias, nan, sign_bit, has_nan, fnuz;
  float max;
};

// Rounding of x [rows, columns] to `out`: codes int32, or (values) numbers times scale float32.
struct Quantize {
  SmallType type;
  Sharing sharing;
  int32_t block, reciprocal, values;
  int32_t columns;
  const float* x;
  const float *scales, *inverses;
  void* out;
};

constexpr int kFineBlock = 32;  // columns of x with a step of their own where wider blocks are too coarse
constexpr int kChunk = 128;  // columns expanded at a time; every block divides it

// The kernels of one instruction set. `scratch` has scratch_bytes() bytes, aligned to 64.
struct Isa {
  const char* name;
  bool (*supported)();
  // Row m of x; false where it holds what 16-bit integers cannot.
  bool (*prepare)(const Product&, int m, char* scratch);
  // Columns begin..end of y, counted from the product's begin.
  void (*multiply)(const Product&, int begin, int end, char* scratch);
  void (*unpack)(const Unpack&, int begin, int end, char* scratch);
  void (*quantize)(const Quantize&, int begin, int end);
  void (*largest)(const Quantize&, int rows, float* amax);
};

constexpr int kMaxRows = 128;  // rows of x prepared and multiplied at a time

inline size_t scratch_bytes(int in_dim) { return (size_t(in_dim) + 1024) * 4 * 64 + (1 << 18); }

extern const Isa kPortable;
#if defined(__x86_64__)
extern const Isa kAvx2, kAvx512, kAvx512Vnni;
#endif

}  // namespace tfl
