// The obvious slow twin of every kernel: fp32 activations, one plain loop each, no intrinsics. What
// other instruction sets compute is tested against it; where nothing else is compiled it is used.
#include <bit>
#include <cmath>

#include "../kernels.h"
#include "../numbers.h"
#include "portable_attend.h"
#include "portable_fixed.h"
#include "portable_learn.h"

namespace quipu {
namespace {

// Everything here reads fp32 activations as they are.
void prepare(const Activations&, Formats, int32_t, int32_t) {}

// The 16 words of 32 bits that four neighbouring inputs (two for bf16) of a panel's outputs make.
struct Words {
  explicit Words(const uint8_t* p) { std::memcpy(of, p, sizeof of); }
  uint32_t of[panel_outputs];
};
static_assert(std::endian::native == std::endian::little, "packed words are read as they lie");

// out [16] = scale * (bits [shift, shift + width) of the words - offset).
void unpack_integers(const Words& words, int shift, uint32_t mask, int32_t offset,
                     const float* scales, float* out) {
  for (int lane = 0; lane < panel_outputs; ++lane) {
    const auto integer = static_cast<int32_t>(words.of[lane] >> shift & mask) - offset;
    out[lane] = scales[lane] * static_cast<float>(integer);
  }
}

void unpack_bf16(const Words& words, float* out) {
  for (int lane = 0; lane < panel_outputs; ++lane) {
    out[lane] = float_of_bits(words.of[lane] << 16);
    out[panel_outputs + lane] = float_of_bits(words.of[lane] & 0xffff0000);
  }
}

// out [32, 16] = the weights of a group of inputs for the outputs of a panel.
void group_weights(const Matrix& w, int32_t panel, int32_t group, float* out) {
  const int64_t block = int64_t{panel} * (w.inputs / group_inputs) + group;
  constexpr int quad = 4 * panel_outputs;  // weights of four inputs
  if (w.format == Format::fp32) {
    std::memcpy(out, w.values + block * 2048, 2048);
    return;
  }
  if (w.format == Format::bf16) {
    for (int pair = 0; pair < 16; ++pair)
      unpack_bf16(Words(w.values + block * 1024 + pair * 64), out + pair * 2 * panel_outputs);
    return;
  }
  float scales[panel_outputs];
  for (int lane = 0; lane < panel_outputs; ++lane)
    scales[lane] = float_of_fp16(w.scales[block * panel_outputs + lane]);
  const bool wide = w.format == Format::int8;
  for (int row = 0; row < (wide ? 8 : 4); ++row) {
    const Words words(w.values + block * (wide ? 512 : 256) + row * 64);
    for (int i = 0; i < 4; ++i) {
      float* to = out + row * quad + i * panel_outputs;
      unpack_integers(words, 8 * i, wide ? 255 : 15, wide ? 128 : 8, scales, to);
      if (!wide) unpack_integers(words, 8 * i + 4, 15, 8, scales, to + 4 * quad);
    }
  }
}

// Four lanes of whatever vectors the compiler has: left to find them by itself it does not.
using Four __attribute__((vector_size(16))) = float;

// sums [Rows, 16] += x w^T of one group of one panel.
template <int Rows>
void add_group(const float* weights, const float* x, int32_t inputs, float* sums) {
  Four sum[Rows][4];
  std::memcpy(sum, sums, sizeof sum);
  for (int i = 0; i < group_inputs; ++i) {
    for (int part = 0; part < 4; ++part) {
      Four four;
      std::memcpy(&four, weights + i * panel_outputs + 4 * part, sizeof four);
      for (int row = 0; row < Rows; ++row) sum[row][part] += four * x[int64_t{row} * inputs + i];
    }
  }
  std::memcpy(sums, sum, sizeof sum);
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
        int32_t row = 0;
        for (; row + 2 <= rows; row += 2)
          add_group<2>(weights, part + row * w.inputs, w.inputs, sums + row * panel_outputs);
        if (row < rows)
          add_group<1>(weights, part + row * w.inputs, w.inputs, sums + row * panel_outputs);
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

int32_t argmax(const float* x, int32_t size) {
  int32_t best = 0;
  for (int32_t i = 1; i < size; ++i)
    if (x[i] > x[best]) best = i;
  return best;
}

}  // namespace

extern const Kernels portable_kernels;
const Kernels portable_kernels = {Isa::portable, prepare, multiply, rms_norm, rotate, silu_mul,
                                  store, attend, merge, finish, argmax,
                                  see_document, unsee_document, multiply_fixed};

}  // namespace quipu
