#include "multiply.h"

#include <algorithm>

namespace quipu {
namespace {

// Prepared rows of a block take half of a small second-level cache; weights pass through the rest.
constexpr int64_t block_bytes = 256 * 1024;

size_t whole_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

Error check(const Matrix& w, const Activations& x, const float* y) {
  if (w.outputs < 1 || w.inputs < 1 || w.inputs % group_inputs != 0)
    return "a weight matrix needs outputs, and inputs in whole groups of 32";
  if (w.values == nullptr || (w.format != Format::bf16 && w.scales == nullptr))
    return "a weight matrix lacks its values or its scales";
  if (x.rows < 0 || x.inputs != w.inputs) return "activations are not as wide as the matrix";
  if (y == nullptr || x.x == nullptr) return "no place to read activations from or write sums to";
  return ok;
}

int32_t panels(const Matrix& w) { return (w.outputs + panel_outputs - 1) / panel_outputs; }

}  // namespace

size_t activation_bytes(int32_t rows, int32_t inputs) {
  const size_t values = static_cast<size_t>(rows) * static_cast<size_t>(inputs);
  const size_t groups = values / group_inputs;
  return whole_lines(values) + whole_lines(values * 2) + 3 * whole_lines(groups * 4);
}

Activations lay_out(const float* x, int32_t rows, int32_t inputs, void* scratch) {
  const size_t values = static_cast<size_t>(rows) * static_cast<size_t>(inputs);
  const size_t per_group = whole_lines(values / group_inputs * 4);
  char* q = static_cast<char*>(scratch);
  char* bf16 = q + whole_lines(values);
  char* scale = bf16 + whole_lines(values * 2);
  return {rows,
          inputs,
          x,
          reinterpret_cast<int8_t*>(q),
          reinterpret_cast<float*>(scale),
          reinterpret_cast<int32_t*>(scale + per_group),
          reinterpret_cast<int32_t*>(scale + 2 * per_group),
          reinterpret_cast<uint16_t*>(bf16)};
}

Error prepare(const Kernels& kernels, Threads& threads, Format format, const Activations& x) {
  if (x.rows < 0 || x.inputs < 1 || x.inputs % group_inputs != 0)
    return "activations need inputs in whole groups of 32";
  if (x.x == nullptr || x.q == nullptr) return "activations were not laid out";
  // Few rows take less time than waking the other threads for them.
  if (x.rows <= gemv_rows) {
    kernels.prepare(x, format, 0, x.rows);
    return ok;
  }
  threads.parallel_for(x.rows, [&](int64_t begin, int64_t end) {
    kernels.prepare(x, format, static_cast<int32_t>(begin), static_cast<int32_t>(end));
  });
  return ok;
}

Error gemv(const Kernels& kernels, Threads& threads, const Matrix& w, const Activations& x,
           float* y) {
  if (const Error error = check(w, x, y)) return error;
  if (x.rows > gemv_rows) return "gemv takes at most 8 rows";
  threads.parallel_for(panels(w), [&](int64_t begin, int64_t end) {
    kernels.multiply(w, x, {static_cast<int32_t>(begin), static_cast<int32_t>(end), 0, x.rows}, y);
  });
  return ok;
}

Error gemm(const Kernels& kernels, Threads& threads, const Matrix& w, const Activations& x,
           float* y) {
  if (const Error error = check(w, x, y)) return error;
  const int64_t fitting = block_bytes / w.inputs / gemv_rows * gemv_rows;
  const int32_t block = static_cast<int32_t>(std::max<int64_t>(fitting, gemv_rows));
  threads.parallel_for(panels(w), [&](int64_t begin, int64_t end) {
    for (int32_t row = 0; row < x.rows; row += block) {
      const int32_t last = std::min(row + block, x.rows);
      const Tile tile = {static_cast<int32_t>(begin), static_cast<int32_t>(end), row, last};
      kernels.multiply(w, x, tile, y);
    }
  });
  return ok;
}

}  // namespace quipu
