// Kernels for AVX2, FMA and F16C. Compiled with flags of its own; includes nothing whose inline
// functions the linker might share with baseline code. avx_vnni.cc is this file with AVX-VNNI.
#include <immintrin.h>

#include "dots_avx2.h"

#include "vector_rows.h"

#include "vector_attend.h"

#include "vector_learn.h"

#include "vector_fixed.h"

namespace quipu {
namespace {

constexpr int row_tile = 4;

// fp32 and bf16 weights meet fp32 activations here, which need no preparation.
void prepare(const Activations& x, Formats formats, int32_t first, int32_t last) {
  if ((formats & with_scales) == 0) return;
  for (int32_t row = first; row < last; ++row) quantise_row(x, row);
}

__m256i word(const void* p) {
  int32_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return _mm256_set1_epi32(bits);
}

__m256i load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// The dot product of a group for 8 outputs, half a panel; `p` is at the half's 32 bytes.
#if defined(QUIPU_AVX_VNNI)

// Assembly, so that a compiler without the intrinsics serves.
void add_dot(__m256i& sum, __m256i bytes, const int8_t* quad) {
  __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(bytes), "x"(word(quad)));
}

struct Int8 {
  static constexpr int bytes = 512;
  static __m256i dot(const uint8_t* p, const int8_t* q, const GroupScale& scale) {
    __m256i sum = _mm256_set1_epi32(scale.less128);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) add_dot(sum, load(p + 64 * i), q + 4 * i);
    return sum;
  }
};

struct Int4 {
  static constexpr int bytes = 256;
  static __m256i dot(const uint8_t* p, const int8_t* q, const GroupScale& scale) {
    const __m256i low = _mm256_set1_epi8(15);
    __m256i sum = _mm256_set1_epi32(scale.less8);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m256i both = load(p + 64 * i);
      add_dot(sum, _mm256_and_si256(both, low), q + 4 * i);
      add_dot(sum, _mm256_and_si256(_mm256_srli_epi16(both, 4), low), q + 16 + 4 * i);
    }
    return sum;
  }
};

#else

// Sums of two products must fit 16 bits: the byte without sign is |weight|, the activation takes
// the sign.
struct Int8 {
  static constexpr int bytes = 512;
  static __m256i dot(const uint8_t* p, const int8_t* q, const GroupScale&) {
    const __m256i ones = _mm256_set1_epi16(1), offset = _mm256_set1_epi8(-128);
    __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      const __m256i w = _mm256_xor_si256(load(p + 64 * i), offset);
      const __m256i pairs =
          _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(word(q + 4 * i), w));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
    return sum;
  }
};

// Sixteen products of at most 15 * 127 fit 16 bits: the group is summed there and widened once.
struct Int4 {
  static constexpr int bytes = 256;
  static __m256i dot(const uint8_t* p, const int8_t* q, const GroupScale& scale) {
    const __m256i low = _mm256_set1_epi8(15);
    __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m256i both = load(p + 64 * i), first = _mm256_and_si256(both, low);
      const __m256i second = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
      sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(first, word(q + 4 * i)));
      sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(second, word(q + 16 + 4 * i)));
    }
    const __m256i wide = _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
    return _mm256_add_epi32(wide, _mm256_set1_epi32(scale.less8));
  }
};

#endif

// Sums of one panel half for M rows: exact integers per group, then one fused multiply-add in order
// of the groups, which makes results equal to those of AVX-512 bit for bit.
template <typename Weights, int M>
void half_sums(const Matrix& w, const Activations& x, int32_t panel, int half, int32_t row,
               __m256* sum) {
  const int64_t groups = w.inputs / group_inputs;
  const uint8_t* values = w.values + panel * groups * Weights::bytes + 32 * half;
  const uint16_t* scales = w.scales + panel * groups * panel_outputs + 8 * half;
  for (int64_t g = 0; g < groups; ++g, values += Weights::bytes, scales += panel_outputs) {
    const __m256 weight_scale =
        _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(scales)));
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) {
      const int64_t at = (row + m) * groups + g;
      const __m256i dot = Weights::dot(values, x.q + at * group_inputs, x.scales[at]);
      const __m256 both = _mm256_mul_ps(weight_scale, _mm256_set1_ps(x.scales[at].scale));
      sum[m] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), both, sum[m]);
    }
  }
}

// A word holds the weights of an even and an odd input; each kind has a sum of its own.
template <int M>
void half_sums_bf16(const Matrix& w, const Activations& x, int32_t panel, int half, int32_t row,
                    __m256* sum) {
  const uint8_t* values = w.values + int64_t{panel} * w.inputs * panel_outputs * 2 + 32 * half;
  const float* rows = x.x + row * int64_t{w.inputs};
  const __m256i high = _mm256_set1_epi32(-65536);
  __m256 odd[M];
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m) odd[m] = _mm256_setzero_ps();
  for (int32_t i = 0; i < w.inputs; i += 2, values += 64) {
    const __m256i both = load(values);
    const __m256 w0 = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
    const __m256 w1 = _mm256_castsi256_ps(_mm256_and_si256(both, high));
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) {
      const float* part = rows + m * int64_t{w.inputs} + i;
      sum[m] = _mm256_fmadd_ps(w0, _mm256_broadcast_ss(part), sum[m]);
      odd[m] = _mm256_fmadd_ps(w1, _mm256_broadcast_ss(part + 1), odd[m]);
    }
  }
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m) sum[m] = _mm256_add_ps(sum[m], odd[m]);
}

// The same order of additions for fp32 weights.
template <int M>
void half_sums_fp32(const Matrix& w, const Activations& x, int32_t panel, int half, int32_t row,
                    __m256* sum) {
  const float* values = reinterpret_cast<const float*>(w.values) +
                        int64_t{panel} * w.inputs * panel_outputs + 8 * half;
  const float* rows = x.x + row * int64_t{w.inputs};
  __m256 odd[M];
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m) odd[m] = _mm256_setzero_ps();
  for (int32_t i = 0; i < w.inputs; i += 2, values += 2 * panel_outputs) {
    const __m256 w0 = _mm256_loadu_ps(values), w1 = _mm256_loadu_ps(values + panel_outputs);
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) {
      const float* part = rows + m * int64_t{w.inputs} + i;
      sum[m] = _mm256_fmadd_ps(w0, _mm256_broadcast_ss(part), sum[m]);
      odd[m] = _mm256_fmadd_ps(w1, _mm256_broadcast_ss(part + 1), odd[m]);
    }
  }
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m) sum[m] = _mm256_add_ps(sum[m], odd[m]);
}

template <int M>
void multiply_rows(const Product& product, const Activations& x, int32_t panel, int32_t row) {
  const Matrix& w = product.w;
  for (int half = 0; half < 2; ++half) {
    const int32_t first = panel * panel_outputs + 8 * half, left = w.outputs - first;
    if (left <= 0) return;
    __m256 sum[M];
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) sum[m] = _mm256_setzero_ps();
    if (w.format == Format::int8)
      half_sums<Int8, M>(w, x, panel, half, row, sum);
    else if (w.format == Format::int4)
      half_sums<Int4, M>(w, x, panel, half, row, sum);
    else if (w.format == Format::bf16)
      half_sums_bf16<M>(w, x, panel, half, row, sum);
    else
      half_sums_fp32<M>(w, x, panel, half, row, sum);
    for (int m = 0; m < M; ++m) {
      float* out = product.y + (int64_t{row} + m) * product.y_stride + first;
      if (product.add) sum[m] = _mm256_add_ps(Lanes::load_some(out, left < 8 ? left : 8), sum[m]);
      left < 8 ? Lanes::store_some(out, sum[m], left) : Lanes::store(out, sum[m]);
    }
  }
}

using MultiplyRows = void (*)(const Product&, const Activations&, int32_t, int32_t);
constexpr MultiplyRows by_rows[row_tile] = {multiply_rows<1>, multiply_rows<2>, multiply_rows<3>,
                                            multiply_rows<4>};

void multiply(const Product& product, const Activations& x, const Tile& tile) {
  for (int32_t panel = tile.first_panel; panel < tile.last_panel; ++panel) {
    for (int32_t row = tile.first_row; row < tile.last_row; row += row_tile) {
      const int32_t left = tile.last_row - row;
      by_rows[(left < row_tile ? left : row_tile) - 1](product, x, panel, row);
    }
  }
}

}  // namespace

#if defined(QUIPU_AVX_VNNI)
#define QUIPU_TABLE avx_vnni_kernels
#else
#define QUIPU_TABLE avx2_kernels
#endif

extern const Kernels QUIPU_TABLE;
const Kernels QUIPU_TABLE = {Isa::avx2, prepare, multiply, rms_norm, rotate, silu_mul,
                             store, attend, merge, finish, argmax, see_document, unsee_document,
                             multiply_fixed};

}  // namespace quipu
