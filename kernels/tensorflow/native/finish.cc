#include "finish.h"

#include <cmath>

namespace tfl {

double activate(Activation kind, double x) {
  const bool lowest = x == -HUGE_VAL;
  switch (kind) {
    case Activation::kSilu:
      return lowest ? 0 : x / (1 + std::exp(-x));
    case Activation::kGelu:
      return lowest ? 0 : 0.5 * x * (1 + std::erf(x * 0.70710678118654752));
    case Activation::kGeluTanh:
      return lowest ? 0 : 0.5 * x * (1 + std::tanh(0.79788456080286536 * (x + 0.044715 * x * x * x)));
    case Activation::kRelu:
      return x > 0 || x != x ? x : 0;
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::kNone:
      break;
  }
  return x;
}

void finish(const Product& p, int begin, int end) {
  if (!p.bias && p.activation == Activation::kNone) return;
  const int columns = p.end - p.begin;
  for (int m = 0; m < p.m; m++) {
    float* y = p.y + size_t(m) * columns;
    for (int i = begin; i < end; i++) {
      const double sum = p.bias ? double(y[i]) + double(p.bias[i]) : double(y[i]);
      y[i] = float(activate(p.activation, sum));
    }
  }
}

}  // namespace tfl
