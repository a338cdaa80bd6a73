// The obvious slow twin of vector_fixed.h: every stretch rounded again for each result.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "../kernels.h"

namespace quipu {
namespace {

float fixed_number(const FixedFactor& of, int64_t outer, int64_t depth) {
  return of.turned ? of.x[depth * of.stride + outer] : of.x[outer * of.stride + depth];
}

// Rounds a stretch [first, last) of a row to out; returns its scale.
float round_stretch(const FixedFactor& of, int64_t outer, int64_t first, int64_t last,
                    int32_t* out) {
  float most = 0;
  bool numbers = true;
  for (int64_t i = first; i < last; ++i) {
    const float x = std::fabs(fixed_number(of, outer, i));
    numbers = numbers && x <= std::numeric_limits<float>::max();
    most = x > most ? x : most;
  }
  const bool counts = numbers && most > fixed_least;
  const float factor = counts ? fixed_largest / most : 0;
  for (int64_t i = first; i < last; ++i)
    out[i - first] =
        counts ? static_cast<int32_t>(std::nearbyint(fixed_number(of, outer, i) * factor)) : 0;
  if (!numbers) return std::numeric_limits<float>::quiet_NaN();
  return counts ? most / fixed_largest : 0;
}

void multiply_fixed(const FixedTask& x) {
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t column = 0; column < x.columns; ++column) {
      float* y = x.y + row * x.y_stride + column;
      for (int64_t first = 0; first < x.depth; first += fixed_depth) {
        const int64_t last = first + fixed_depth < x.depth ? first + fixed_depth : x.depth;
        int32_t a[fixed_depth], b[fixed_depth], sum = 0;
        const float scale =
            round_stretch(x.a, row, first, last, a) * round_stretch(x.b, column, first, last, b);
        for (int64_t i = 0; i < last - first; ++i) sum += a[i] * b[i];
        const float product = static_cast<float>(sum) * scale;
        *y = first == 0 ? product : *y + product;
      }
    }
  }
}

}  // namespace
}  // namespace quipu
