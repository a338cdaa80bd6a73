#include "rows.h"

#include <cmath>

namespace quipu {
namespace {

// Below this many numbers a loop is shorter than waking another thread.
constexpr int64_t worth_sharing = 16 * 1024;

template <typename Body>
void each_row(Threads& threads, int32_t rows, int32_t width, const Body& body) {
  if (int64_t{rows} * width < worth_sharing) {
    body(0, rows);
    return;
  }
  threads.parallel_for(rows, [&](int64_t begin, int64_t end) {
    body(static_cast<int32_t>(begin), static_cast<int32_t>(end));
  });
}

Error check(int32_t rows, int32_t width) {
  return rows < 0 || width < 1 ? "rows must not be negative nor empty" : ok;
}

}  // namespace

Error rms_norm(const Kernels& kernels, Threads& threads, const float* x, const float* weight,
               float eps, int32_t rows, int32_t width, float* y) {
  if (const Error error = check(rows, width)) return error;
  each_row(threads, rows, width, [&](int32_t begin, int32_t end) {
    const int64_t at = int64_t{begin} * width;
    kernels.rms_norm(x + at, weight, eps, end - begin, width, y + at);
  });
  return ok;
}

Error rotary_angles(Threads& threads, const int32_t* positions, int32_t rows,
                    const float* frequency, int32_t half, float factor, float* cos, float* sin) {
  if (const Error error = check(rows, half)) return error;
  // A sine takes as long as some tens of the numbers that other rows are made of.
  each_row(threads, rows, half * 32, [&](int32_t begin, int32_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int32_t e = 0; e < half; ++e) {
        const float angle = static_cast<float>(positions[row]) * frequency[e];
        cos[row * half + e] = std::cos(angle) * factor;
        sin[row * half + e] = std::sin(angle) * factor;
      }
    }
  });
  return ok;
}

Error rotate(const Kernels& kernels, Threads& threads, float* x, int32_t x_stride,
             const float* cos, const float* sin, int32_t rows, int32_t heads, int32_t head_size) {
  if (const Error error = check(rows, heads)) return error;
  if (head_size < 2 || head_size % 2 != 0) return "rotation needs an even head size";
  const int32_t width = heads * head_size;
  if (x_stride < width) return "rows to rotate overlap: their stride is less than their width";
  each_row(threads, rows, width, [&](int32_t begin, int32_t end) {
    const int64_t at = int64_t{begin} * (head_size / 2);
    kernels.rotate(x + int64_t{begin} * x_stride, x_stride, cos + at, sin + at, end - begin, heads,
                   head_size);
  });
  return ok;
}

Error silu_mul(const Kernels& kernels, Threads& threads, const float* gate, const float* up,
               int32_t rows, int32_t width, float* out) {
  if (const Error error = check(rows, width)) return error;
  each_row(threads, rows, width, [&](int32_t begin, int32_t end) {
    const int64_t at = int64_t{begin} * width;
    kernels.silu_mul(gate + at, up + at, int64_t{end - begin} * width, out + at);
  });
  return ok;
}

Error argmax(const Kernels& kernels, Threads& threads, const float* x, int32_t rows, int32_t width,
             int32_t* best) {
  if (const Error error = check(rows, width)) return error;
  each_row(threads, rows, width, [&](int32_t begin, int32_t end) {
    for (int32_t row = begin; row < end; ++row)
      best[row] = kernels.argmax(x + int64_t{row} * width, width);
  });
  return ok;
}

}  // namespace quipu
