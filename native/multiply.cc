#include "multiply.h"

#include <algorithm>

#include "weights.h"

namespace quipu {
namespace {

// Prepared rows of a block take half of a small second-level cache; weights pass through the rest.
constexpr int64_t block_bytes = 256 * 1024;
constexpr int32_t row_step = 24;  // a multiple of the rows that kernels carry in registers
// Few rows take less time than waking the other threads for them.
constexpr int64_t few_numbers = 32 * 1024;
constexpr int64_t least_panels = 2;  // of a thread, before rows are cut into parts
// Panels and rows of the gate that meet those of `up` while both are in the first-level cache.
constexpr int32_t gated_panels = 4, gated_rows = 48;

size_t whole_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

Error check(const Matrix& w) {
  if (w.outputs < 1 || w.inputs < 1 || w.inputs % group_inputs != 0)
    return "a weight matrix needs outputs, and inputs in whole groups of 32";
  if (w.values == nullptr || ((set_of(w.format) & with_scales) != 0 && w.scales == nullptr))
    return "a weight matrix lacks its values or its scales";
  return ok;
}

Error check(const Product& product, const Activations& x) {
  if (const Error error = check(product.w)) return error;
  if (x.rows < 0 || x.inputs != product.w.inputs)
    return "activations are not as wide as the matrix";
  if (product.y == nullptr || x.x == nullptr || x.q == nullptr)
    return "no place to read activations from or write sums to";
  if (product.y_stride < product.w.outputs)
    return "rows of a product overlap: their stride is less than the matrix has outputs";
  return ok;
}

int32_t panels(const Matrix& w) { return (w.outputs + panel_outputs - 1) / panel_outputs; }

int32_t block_rows(const Activations& x) {
  const int64_t fitting = block_bytes / x.inputs / row_step * row_step;
  return static_cast<int32_t>(std::max<int64_t>(fitting, row_step));
}

// What a panel costs beside others: its bits a weight.
int64_t cost(Format format) {
  constexpr int64_t bits[] = {32, 16, 8, 4};
  return bits[static_cast<int>(format)];
}

void multiply_tile(const Kernels& kernels, const Product& product, const Activations& x,
                   const Tile& tile) {
  const int32_t block = block_rows(x);
  for (int32_t row = tile.first_row; row < tile.last_row; row += block)
    kernels.multiply(product, x, {tile.first_panel, tile.last_panel, row,
                                  std::min(row + block, tile.last_row)});
}

// Into how many parts rows are cut, so that matrices with few panels occupy all threads.
int32_t row_parts(const Threads& threads, int64_t all_panels, int32_t rows) {
  const int64_t wanted = (threads.count() * least_panels + all_panels - 1) / all_panels;
  return static_cast<int32_t>(std::clamp<int64_t>(rows / row_step, 1, wanted));
}

// A share of the products of some rows: the panels whose cost, all products one after another,
// begins in [begin, end).
void multiply_share(const Kernels& kernels, const Activations& x, const Product* products,
                    int32_t count, int64_t begin, int64_t end, int32_t first_row,
                    int32_t last_row) {
  for (int32_t i = 0; i < count; ++i) {
    const int64_t each = cost(products[i].w.format), all = panels(products[i].w);
    const int64_t first = std::clamp<int64_t>((begin + each - 1) / each, 0, all);
    const int64_t last = std::clamp<int64_t>((end + each - 1) / each, 0, all);
    if (first < last)
      multiply_tile(kernels, products[i], x, {static_cast<int32_t>(first),
                                              static_cast<int32_t>(last), first_row, last_row});
    begin -= all * each;
    end -= all * each;
  }
}

// The matrix without the outputs before a panel.
Matrix from_panel(const Matrix& w, int32_t panel) {
  const int32_t before = panel * panel_outputs;
  const size_t scales = scale_bytes(w.format, before, w.inputs) / sizeof(uint16_t);
  return {w.format, w.outputs - before, w.inputs,
          w.values + value_bytes(w.format, before, w.inputs),
          w.scales == nullptr ? nullptr : w.scales + scales};
}

// Prepared activations without the rows before a row.
Activations from_row(const Activations& x, int32_t row) {
  const int64_t before = int64_t{row} * x.inputs;
  return {x.rows - row, x.inputs, x.x + before, x.q + before, x.scales + before / group_inputs,
          x.bf16 + before};
}

// y = silu(gate) * up of some panels and rows, while all is in the first-level cache.
void multiply_gate(const Kernels& kernels, const Product& gate, const Matrix& up,
                   const Activations& x, const Tile& tile) {
  constexpr int32_t width = gated_panels * panel_outputs;
  alignas(64) float buffer[gated_rows * width];
  const int32_t first = tile.first_panel * panel_outputs;
  const int32_t outputs = std::min(tile.last_panel * panel_outputs, up.outputs) - first;
  const int32_t rows = tile.last_row - tile.first_row;
  kernels.multiply(gate, x, tile);
  kernels.multiply({from_panel(up, tile.first_panel), buffer, width, false},
                   from_row(x, tile.first_row), {0, tile.last_panel - tile.first_panel, 0, rows});
  for (int32_t row = 0; row < rows; ++row) {
    float* y = gate.y + int64_t{tile.first_row + row} * gate.y_stride + first;
    kernels.silu_mul(y, buffer + row * width, outputs, y);
  }
}

}  // namespace

size_t activation_bytes(int32_t rows, int32_t inputs) {
  const size_t values = static_cast<size_t>(rows) * static_cast<size_t>(inputs);
  const size_t groups = values / group_inputs;
  return whole_lines(values) + whole_lines(values * 2) + whole_lines(groups * sizeof(GroupScale));
}

Activations lay_out(const float* x, int32_t rows, int32_t inputs, void* scratch) {
  const size_t values = static_cast<size_t>(rows) * static_cast<size_t>(inputs);
  char* q = static_cast<char*>(scratch);
  char* bf16 = q + whole_lines(values);
  char* scales = bf16 + whole_lines(values * 2);
  return {rows,
          inputs,
          x,
          reinterpret_cast<int8_t*>(q),
          reinterpret_cast<GroupScale*>(scales),
          reinterpret_cast<uint16_t*>(bf16)};
}

Error prepare(const Kernels& kernels, Threads& threads, Formats formats, const Activations& x) {
  if (x.rows < 0 || x.inputs < 1 || x.inputs % group_inputs != 0)
    return "activations need inputs in whole groups of 32";
  if (x.x == nullptr || x.q == nullptr) return "activations were not laid out";
  if (int64_t{x.rows} * x.inputs <= few_numbers) {
    kernels.prepare(x, formats, 0, x.rows);
    return ok;
  }
  threads.parallel_for(x.rows, [&](int64_t begin, int64_t end) {
    kernels.prepare(x, formats, static_cast<int32_t>(begin), static_cast<int32_t>(end));
  });
  return ok;
}

Error multiply(const Kernels& kernels, Threads& threads, const Activations& x,
               const Product* products, int32_t count) {
  int64_t total = 0, all_panels = 0;
  for (int32_t i = 0; i < count; ++i) {
    if (const Error error = check(products[i], x)) return error;
    total += panels(products[i].w) * cost(products[i].w.format);
    all_panels += panels(products[i].w);
  }
  if (total == 0 || x.rows == 0) return ok;
  const int64_t parts = row_parts(threads, all_panels, x.rows);
  threads.parallel_for(parts * total, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin / total; part * total < end; ++part)
      multiply_share(kernels, x, products, count, begin - part * total,
                     std::min(end - part * total, total),
                     static_cast<int32_t>(x.rows * part / parts),
                     static_cast<int32_t>(x.rows * (part + 1) / parts));
  });
  return ok;
}

Error multiply_gated(const Kernels& kernels, Threads& threads, const Activations& x,
                     const Matrix& gate, const Matrix& up, float* y) {
  const Product product = {gate, y, gate.outputs, false};
  if (const Error error = check(product, x)) return error;
  if (const Error error = check(up)) return error;
  if (up.inputs != gate.inputs || up.outputs != gate.outputs)
    return "the two matrices of a gate differ in shape";
  threads.parallel_for(panels(gate), [&](int64_t begin, int64_t end) {
    const int32_t last_panel = static_cast<int32_t>(end);
    for (int32_t row = 0; row < x.rows; row += gated_rows)
      for (int32_t panel = static_cast<int32_t>(begin); panel < last_panel; panel += gated_panels)
        multiply_gate(kernels, product, up, x,
                      {panel, std::min(panel + gated_panels, last_panel), row,
                       std::min(row + gated_rows, x.rows)});
  });
  return ok;
}

Error gather(Threads& threads, const Matrix& w, const int32_t* rows, int32_t count, float* out) {
  if (const Error error = check(w)) return error;
  if (count < 0 || rows == nullptr || out == nullptr)
    return "no rows to gather or no place for them";
  for (int32_t i = 0; i < count; ++i)
    if (rows[i] < 0 || rows[i] >= w.outputs) return "a row to gather lies outside the matrix";
  const auto some = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) unpack_row(w, rows[i], out + i * w.inputs);
  };
  if (int64_t{count} * w.inputs <= few_numbers)
    some(0, count);
  else
    threads.parallel_for(count, some);
  return ok;
}

}  // namespace quipu
