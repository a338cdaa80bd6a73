// Kernels for AVX-512 F, BW, VL, DQ, VNNI and BF16. Compiled with flags of its own; includes
// nothing whose inline functions the linker might share with baseline code.
#include <immintrin.h>

#include "lanes_avx512.h"

#include "vector_rows.h"

#include "vector_attend.h"

namespace quipu {
namespace {

constexpr int row_tile = 8;  // 8 sums and the 8 registers of a group of weights leave room for both

void prepare(const Activations& x, Formats formats, int32_t first, int32_t last) {
  for (int32_t row = first; row < last; ++row) {
    if ((formats & with_scales) != 0) quantise_row(x, row);
    if ((formats & bf16_alone) == 0) continue;
    const float* from = x.x + int64_t{row} * x.inputs;
    uint16_t* to = x.bf16 + int64_t{row} * x.inputs;
    for (int32_t i = 0; i < x.inputs; i += 16)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                          (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(from + i)));
  }
}

__m512i word(const void* p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return _mm512_set1_epi32(bits);
}

struct Int8 {
  static constexpr int bytes = 512;  // of a group of one panel
  static int32_t less(const GroupScale& scale) { return scale.less128; }
  static void unpack(const uint8_t* p, __m512i* w) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) w[i] = _mm512_loadu_si512(p + 64 * i);
  }
};

struct Int4 {
  static constexpr int bytes = 256;
  static int32_t less(const GroupScale& scale) { return scale.less8; }
  static void unpack(const uint8_t* p, __m512i* w) {
    const __m512i low = _mm512_set1_epi8(15);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m512i both = _mm512_loadu_si512(p + 64 * i);
      w[i] = _mm512_and_si512(both, low);
      w[i + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
    }
  }
};

// sum [M] of one panel: per group an exact integer dot product (bytes without sign times signed
// bytes, the offset taken out by `less`), then one fused multiply-add in order of the groups.
template <typename Weights, int M>
void panel_sums(const Matrix& w, const Activations& x, int32_t panel, int32_t row, __m512* sum) {
  const int64_t groups = w.inputs / group_inputs;
  const uint8_t* values = w.values + panel * groups * Weights::bytes;
  const uint16_t* scales = w.scales + panel * groups * panel_outputs;
  const int8_t* q = x.q + row * int64_t{w.inputs};
  const GroupScale* scale = x.scales + row * groups;
  for (int64_t g = 0; g < groups; ++g, values += Weights::bytes, scales += panel_outputs) {
    __m512i quads[8];
    Weights::unpack(values, quads);
    const __m512 weight_scale =
        _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales)));
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const int8_t* part = q + m * int64_t{w.inputs} + g * group_inputs;
      __m512i dot = _mm512_set1_epi32(Weights::less(scale[m * groups + g]));
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) dot = _mm512_dpbusd_epi32(dot, quads[i], word(part + 4 * i));
      const __m512 both = _mm512_mul_ps(weight_scale, _mm512_set1_ps(scale[m * groups + g].scale));
      sum[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), both, sum[m]);
    }
  }
}

// The same for bf16 weights and activations; even and odd pairs of inputs have a sum each, because
// one chain of additions would wait for itself.
template <int M>
void panel_sums_bf16(const Matrix& w, const Activations& x, int32_t panel, int32_t row,
                     __m512* sum) {
  const uint8_t* values = w.values + int64_t{panel} * w.inputs * panel_outputs * 2;
  const uint16_t* rows = x.bf16 + row * int64_t{w.inputs};
  __m512 odd[M];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) odd[m] = _mm512_setzero_ps();
  for (int32_t i = 0; i < w.inputs; i += 4, values += 128) {
    const __m512bh w0 = (__m512bh)_mm512_loadu_si512(values);
    const __m512bh w1 = (__m512bh)_mm512_loadu_si512(values + 64);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const uint16_t* part = rows + m * int64_t{w.inputs} + i;
      sum[m] = _mm512_dpbf16_ps(sum[m], w0, (__m512bh)word(part));
      odd[m] = _mm512_dpbf16_ps(odd[m], w1, (__m512bh)word(part + 2));
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) sum[m] = _mm512_add_ps(sum[m], odd[m]);
}

// The same order of additions for fp32 weights and activations.
template <int M>
void panel_sums_fp32(const Matrix& w, const Activations& x, int32_t panel, int32_t row,
                     __m512* sum) {
  const float* values =
      reinterpret_cast<const float*>(w.values) + int64_t{panel} * w.inputs * panel_outputs;
  const float* rows = x.x + row * int64_t{w.inputs};
  __m512 odd[M];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) odd[m] = _mm512_setzero_ps();
  for (int32_t i = 0; i < w.inputs; i += 2, values += 2 * panel_outputs) {
    const __m512 w0 = _mm512_loadu_ps(values), w1 = _mm512_loadu_ps(values + panel_outputs);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const float* part = rows + m * int64_t{w.inputs} + i;
      sum[m] = _mm512_fmadd_ps(w0, _mm512_set1_ps(part[0]), sum[m]);
      odd[m] = _mm512_fmadd_ps(w1, _mm512_set1_ps(part[1]), odd[m]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) sum[m] = _mm512_add_ps(sum[m], odd[m]);
}

template <int M>
void multiply_rows(const Product& product, const Activations& x, int32_t panel, int32_t row) {
  const Matrix& w = product.w;
  __m512 sum[M];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) sum[m] = _mm512_setzero_ps();
  if (w.format == Format::int8)
    panel_sums<Int8, M>(w, x, panel, row, sum);
  else if (w.format == Format::int4)
    panel_sums<Int4, M>(w, x, panel, row, sum);
  else if (w.format == Format::bf16)
    panel_sums_bf16<M>(w, x, panel, row, sum);
  else
    panel_sums_fp32<M>(w, x, panel, row, sum);
  const int32_t first = panel * panel_outputs, left = w.outputs - first;
  const __mmask16 lanes = Lanes::first_lanes(left < panel_outputs ? left : panel_outputs);
  for (int m = 0; m < M; ++m) {
    float* y = product.y + (int64_t{row} + m) * product.y_stride + first;
    if (product.add) sum[m] = _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, y), sum[m]);
    _mm512_mask_storeu_ps(y, lanes, sum[m]);
  }
}

using MultiplyRows = void (*)(const Product&, const Activations&, int32_t, int32_t);
constexpr MultiplyRows by_rows[row_tile] = {
    multiply_rows<1>, multiply_rows<2>, multiply_rows<3>, multiply_rows<4>,
    multiply_rows<5>, multiply_rows<6>, multiply_rows<7>, multiply_rows<8>};

void multiply(const Product& product, const Activations& x, const Tile& tile) {
  for (int32_t panel = tile.first_panel; panel < tile.last_panel; ++panel) {
    for (int32_t row = tile.first_row; row < tile.last_row; row += row_tile) {
      const int32_t left = tile.last_row - row;
      by_rows[(left < row_tile ? left : row_tile) - 1](product, x, panel, row);
    }
  }
}

}  // namespace

extern const Kernels avx512_kernels;
const Kernels avx512_kernels = {Isa::avx512, prepare, multiply, rms_norm, rotate,
                                silu_mul,    attend,  argmax};

}  // namespace quipu
