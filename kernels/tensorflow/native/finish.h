// Bias and activation.
#pragma once
#include "layout.h"

namespace tfl {

double activate(Activation kind, double x);

// Columns begin..end of p's y in place: act(y + bias), in float64 a number.
void finish(const Product& p, int begin, int end);

}  // namespace tfl
