// The obvious slow twin of every kernel: fp32 activations, one plain loop each, no intrinsics. What
// other instruction sets compute is tested against it; where nothing else is compiled it is used.
#include <cmath>

#include "../kernels.h"
#include "../numbers.h"

namespace quipu {
namespace {

// Everything here reads fp32 activations as they are.
void prepare(const Activations&, Formats, int32_t, int32_t) {}

// out [32, 16] = the weights of a group of inputs for the outputs of a panel.
void group_weights(const Matrix& w, int32_t panel, int32_t group, float* out) {
  const int64_t block = int64_t{panel} * (w.inputs / group_inputs) + group;
  float scales[panel_outputs] = {};
  if (w.format == Format::int8 || w.format == Format::int4)
    for (int lane = 0; lane < panel_outputs; ++lane)
      scales[lane] = float_of_fp16(w.scales[block * panel_outputs + lane]);
  if (w.format == Format::fp32)
    std::memcpy(out, w.values + block * 2048, 2048);
  for (int i = 0; i < group_inputs && w.format != Format::fp32; ++i) {
    for (int lane = 0; lane < panel_outputs; ++lane) {
      const int pair = i / 2 * 32 + lane * 2 + i % 2, quad = i / 4 * 64 + lane * 4 + i % 4;
      float& weight = out[i * panel_outputs + lane];
      if (w.format == Format::bf16) {
        uint16_t word;
        std::memcpy(&word, w.values + block * 1024 + 2 * pair, 2);
        weight = float_of_bf16(word);
      } else if (w.format == Format::int8) {
        weight = scales[lane] * static_cast<float>(w.values[block * 512 + quad] - 128);
      } else {
        const int byte = w.values[block * 256 + quad % 256];
        weight = scales[lane] * static_cast<float>((i < 16 ? byte & 15 : byte >> 4) - 8);
      }
    }
  }
}

// sums [rows, 16] += x w^T of one group of one panel; the lanes inside, for the compiler's vectors.
void add_group(const float* weights, const float* x, int32_t inputs, int32_t rows, float* sums) {
  for (int32_t row = 0; row < rows; ++row, x += inputs, sums += panel_outputs)
    for (int i = 0; i < group_inputs; ++i)
      for (int lane = 0; lane < panel_outputs; ++lane)
        sums[lane] += x[i] * weights[i * panel_outputs + lane];
}

void multiply(const Product& product, const Activations& x, const Tile& tile) {
  constexpr int32_t block = 16;  // rows that share the unpacked weights of a group
  const Matrix& w = product.w;
  for (int32_t panel = tile.first_panel; panel < tile.last_panel; ++panel) {
    const int32_t left = w.outputs - panel * panel_outputs;
    const int32_t lanes = left < panel_outputs ? left : panel_outputs;
    for (int32_t first = tile.first_row; first < tile.last_row; first += block) {
      const int32_t rows = tile.last_row - first < block ? tile.last_row - first : block;
      float sums[block * panel_outputs] = {}, weights[group_inputs * panel_outputs];
      for (int32_t group = 0; group < w.inputs / group_inputs; ++group) {
        group_weights(w, panel, group, weights);
        const float* part = x.x + int64_t{first} * w.inputs + group * group_inputs;
        add_group(weights, part, w.inputs, rows, sums);
      }
      for (int32_t row = 0; row < rows; ++row) {
        float* y = product.y + int64_t{first + row} * product.y_stride + panel * panel_outputs;
        const float* sum = sums + row * panel_outputs;
        for (int32_t lane = 0; lane < lanes; ++lane)
          y[lane] = product.add ? y[lane] + sum[lane] : sum[lane];
      }
    }
  }
}

void rms_norm(const float* x, const float* weight, float eps, int32_t rows, int32_t width,
              float* y) {
  for (int32_t row = 0; row < rows; ++row, x += width, y += width) {
    float squares = 0;
    for (int32_t d = 0; d < width; ++d) squares += x[d] * x[d];
    const float factor = 1 / std::sqrt(squares / static_cast<float>(width) + eps);
    for (int32_t d = 0; d < width; ++d) y[d] = x[d] * factor * weight[d];
  }
}

void rotate(float* x, int64_t x_stride, const float* cos, const float* sin, int32_t rows,
            int32_t heads, int32_t head_size) {
  const int32_t half = head_size / 2;
  for (int32_t row = 0; row < rows; ++row, x += x_stride, cos += half, sin += half) {
    for (int32_t head = 0; head < heads; ++head) {
      float* first = x + head * head_size;
      float* second = first + half;
      for (int32_t e = 0; e < half; ++e) {
        const float a = first[e], b = second[e];
        first[e] = a * cos[e] - b * sin[e];
        second[e] = b * cos[e] + a * sin[e];
      }
    }
  }
}

void silu_mul(const float* gate, const float* up, int64_t size, float* out) {
  for (int64_t i = 0; i < size; ++i) out[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
}

float element(const AttendTask& task, const void* pool, int32_t position, int32_t kv_head,
              int32_t e) {
  const int64_t slot =
      int64_t{task.pages[position / task.page_size]} * task.page_size + position % task.page_size;
  const int64_t at = (slot * task.kv_heads + kv_head) * task.head_size + e;
  if (!task.bf16) return static_cast<const float*>(pool)[at];
  return float_of_bf16(static_cast<const uint16_t*>(pool)[at]);
}

float score(const AttendTask& task, const float* q, int32_t position, int32_t kv_head) {
  float sum = 0;
  for (int32_t e = 0; e < task.head_size; ++e)
    sum += q[e] * element(task, task.keys, position, kv_head, e);
  return sum * task.scale;
}

// Two passes over the keys: the largest score, then the weighted sum; scores are computed twice.
void attend_row(const AttendTask& task, const float* q, int32_t context, int32_t kv_head,
                float* out) {
  float largest = score(task, q, 0, kv_head);
  for (int32_t p = 1; p < context; ++p) largest = std::fmax(largest, score(task, q, p, kv_head));
  float total = 0;
  for (int32_t e = 0; e < task.head_size; ++e) out[e] = 0;
  for (int32_t p = 0; p < context; ++p) {
    const float weight = std::exp(score(task, q, p, kv_head) - largest);
    total += weight;
    for (int32_t e = 0; e < task.head_size; ++e)
      out[e] += weight * element(task, task.values, p, kv_head, e);
  }
  for (int32_t e = 0; e < task.head_size; ++e) out[e] /= total;
}

void attend(const AttendTask& task, int32_t kv_head, int32_t first, int32_t last) {
  const int32_t group = task.heads / task.kv_heads;
  for (int32_t t = first; t < last; ++t) {
    for (int32_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      const int64_t at = (int64_t{t} * task.heads + head) * task.head_size;
      attend_row(task, task.q + at, task.first_position + t + 1, kv_head, task.out + at);
    }
  }
}

int32_t argmax(const float* x, int32_t size) {
  int32_t best = 0;
  for (int32_t i = 1; i < size; ++i)
    if (x[i] > x[best]) best = i;
  return best;
}

}  // namespace

extern const Kernels portable_kernels;
const Kernels portable_kernels = {Isa::portable, prepare, multiply, rms_norm, rotate,
                                  silu_mul,      attend,  argmax};

}  // namespace quipu
