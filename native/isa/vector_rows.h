// Kernels over rows, written once in the operations of Lanes and compiled for each vector set.
#pragma once

#include "../kernels.h"

namespace quipu {
namespace {

using F = Lanes::F;

// e^x: x = n ln 2 + r, |r| <= ln 2 / 2, Taylor to r^7 / 7! (the next term is 5e-9). Clamped to
// results that are normal numbers.
F exponential(F x) {
  x = Lanes::min(Lanes::set(88.0f), Lanes::max(Lanes::set(-87.0f), x));
  const F n = Lanes::round(Lanes::mul(x, Lanes::set(1.44269504f)));
  // ln 2 in two parts; the first has so few bits that n times it is exact.
  F r = Lanes::fnma(n, Lanes::set(0.693359375f), x);
  r = Lanes::fnma(n, Lanes::set(-2.12194440e-4f), r);
  constexpr float factors[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
  F p = Lanes::set(1.0f / 5040);
  for (const float factor : factors) p = Lanes::fma(p, r, Lanes::set(factor));
  return Lanes::times_power_of_two(p, n);
}

void quantise_row(const Activations& x, int32_t row) {
  const int32_t groups = x.inputs / group_inputs;
  constexpr int parts = group_inputs / Lanes::width;
  constexpr float nothing = 1e-30f;  // below it 127 / largest could overflow
  for (int32_t g = 0; g < groups; ++g) {
    const int64_t at = int64_t{row} * x.inputs + g * group_inputs;
    F part[parts], peak = Lanes::set(0);
    for (int i = 0; i < parts; ++i) {
      part[i] = Lanes::load(x.x + at + i * Lanes::width);
      peak = Lanes::max(peak, Lanes::abs(part[i]));
    }
    const float largest = Lanes::largest(peak);
    const float inverse = largest < nothing ? 0 : 127 / largest;
    Lanes::I total = Lanes::nearest(Lanes::set(0));
    for (int i = 0; i < parts; ++i) {
      const Lanes::I q = Lanes::nearest(Lanes::mul(part[i], Lanes::set(inverse)));
      Lanes::store_int8(x.q + at + i * Lanes::width, q);
      total = Lanes::add(total, q);
    }
    const int32_t sum = Lanes::sum(total);
    x.scales[int64_t{row} * groups + g] = {largest < nothing ? 0 : largest / 127, -8 * sum,
                                           -128 * sum};
  }
}

void rms_norm(const float* x, const float* weight, float eps, int32_t rows, int32_t width,
              float* y) {
  const int32_t whole = width / Lanes::width * Lanes::width, rest = width - whole;
  for (int32_t row = 0; row < rows; ++row, x += width, y += width) {
    F squares = Lanes::set(0);
    for (int32_t d = 0; d < whole; d += Lanes::width)
      squares = Lanes::fma(Lanes::load(x + d), Lanes::load(x + d), squares);
    const F last = Lanes::load_some(x + whole, rest);
    squares = Lanes::fma(last, last, squares);
    const float mean = Lanes::sum(squares) / static_cast<float>(width);
    const F factor = Lanes::set(1 / __builtin_sqrtf(mean + eps));
    for (int32_t d = 0; d < whole; d += Lanes::width)
      Lanes::store(y + d, Lanes::mul(Lanes::mul(Lanes::load(x + d), factor),
                                     Lanes::load(weight + d)));
    const F scaled = Lanes::mul(Lanes::mul(last, factor), Lanes::load_some(weight + whole, rest));
    Lanes::store_some(y + whole, scaled, rest);
  }
}

void rotate_some(float* x, const float* cos, const float* sin, int32_t half, int count) {
  const F c = Lanes::load_some(cos, count), s = Lanes::load_some(sin, count);
  const F first = Lanes::load_some(x, count), second = Lanes::load_some(x + half, count);
  Lanes::store_some(x, Lanes::fnma(second, s, Lanes::mul(first, c)), count);
  Lanes::store_some(x + half, Lanes::fma(first, s, Lanes::mul(second, c)), count);
}

void rotate(float* x, int64_t x_stride, const float* cos, const float* sin, int32_t rows,
            int32_t heads, int32_t head_size) {
  const int32_t half = head_size / 2;
  for (int32_t row = 0; row < rows; ++row, x += x_stride, cos += half, sin += half)
    for (int32_t head = 0; head < heads; ++head)
      for (int32_t e = 0; e < half; e += Lanes::width)
        rotate_some(x + head * head_size + e, cos + e, sin + e, half,
                    half - e < Lanes::width ? half - e : Lanes::width);
}

F silu_times(F gate, F up) {
  const F one = Lanes::set(1);
  const F denominator = Lanes::add(one, exponential(Lanes::sub(Lanes::set(0), gate)));
  return Lanes::mul(Lanes::div(gate, denominator), up);
}

void silu_mul(const float* gate, const float* up, int64_t size, float* out) {
  int64_t i = 0;
  for (; i + Lanes::width <= size; i += Lanes::width)
    Lanes::store(out + i, silu_times(Lanes::load(gate + i), Lanes::load(up + i)));
  const int rest = static_cast<int>(size - i);
  const F last = silu_times(Lanes::load_some(gate + i, rest), Lanes::load_some(up + i, rest));
  Lanes::store_some(out + i, last, rest);
}

// Finds the largest value first and then where it stands: vectors carry no indices.
int32_t argmax(const float* x, int32_t size) {
  const int32_t whole = size / Lanes::width * Lanes::width;
  if (x[0] != x[0]) return 0;
  F peak = Lanes::set(x[0]);
  for (int32_t i = 0; i < whole; i += Lanes::width) peak = Lanes::max(Lanes::load(x + i), peak);
  float largest = Lanes::largest(peak);
  for (int32_t i = whole; i < size; ++i) largest = x[i] > largest ? x[i] : largest;
  for (int32_t i = 0; i < whole; i += Lanes::width) {
    const int lane = Lanes::first_equal(Lanes::load(x + i), largest);
    if (lane < Lanes::width) return i + lane;
  }
  for (int32_t i = whole; i < size; ++i)
    if (x[i] == largest) return i;
  return 0;
}

}  // namespace
}  // namespace quipu
