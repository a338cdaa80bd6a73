// Products in AVX2, with AVX-VNNI where the unit is compiled for it: a panel at a time, its weights
// taken apart in registers once for all rows of a tile, both halves of the panel from one load of
// activations. Unpacking weights for many rows into the first-level cache gained nothing.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "../kernels.h"
#include "lanes_avx2.h"
#include "vector_rows.h"
#include "words.h"

namespace quipu {
namespace {

constexpr int halves = 2;         // of a panel, a register of sums each
constexpr int integer_rows = 4;   // of a tile: eight sums, and weights, leave no register free
constexpr int float_rows = 3;     // twelve sums, for even and odd inputs have their own
constexpr int bytes_ahead = 4096;  // hardware alone prefetches too little, and ends at pages

__m256i load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// Of a format: a group of one half is `loads` registers, each of which holds the weights of as many
// words of activations as it has `parts`.
#if defined(QUIPU_AVX_VNNI)

// sum += dot products of the quad at `word` with each of w's quads, for both halves. Assembly, so
// that a compiler without the intrinsics serves.
void add_quads(__m256i* sum, const Word* word, const __m256i* w) {
  __m256i quad;
  __asm__("vpbroadcastd %3, %2\n\t%{vex%} vpdpbusd %2, %4, %0\n\t%{vex%} vpdpbusd %2, %5, %1"
          : "+x"(sum[0]), "+x"(sum[1]), "=&x"(quad)
          : "m"(*word), "x"(w[0]), "x"(w[1]));
}

__m256i whole(__m256i sum) { return sum; }

struct Int8 {
  static constexpr int bytes = 512, loads = 8, parts = 1;
  static const Word* words(const Activations& x) { return reinterpret_cast<const Word*>(x.q); }
  static constexpr int word(int i, int) { return i; }
  static __m256i take(__m256i w, int) { return w; }
  static void add(__m256i* sum, const Word* word, const __m256i* w) { add_quads(sum, word, w); }
  static __m256i start(const GroupScale& scale) { return _mm256_set1_epi32(scale.less128); }
  static __m256i finish(__m256i sum) { return sum; }
};

void prepare_group(Formats, const int8_t*, uint16_t*, GroupScale&) {}

#else

// The same in sums of 16 bits, two to an output. Assembly keeps the compiler from moving them to
// memory.
void add_quads(__m256i* sum, const Word* word, const __m256i* w) {
  __m256i quad, other;
  __asm__("vpbroadcastd %4, %2\n\tvpmaddubsw %2, %5, %3\n\tvpmaddubsw %2, %6, %2\n\t"
          "vpaddw %3, %0, %0\n\tvpaddw %2, %1, %1"
          : "+x"(sum[0]), "+x"(sum[1]), "=&x"(quad), "=&x"(other)
          : "m"(*word), "x"(w[0]), "x"(w[1]));
}

__m256i whole(__m256i sum) { return _mm256_madd_epi16(sum, _mm256_set1_epi16(1)); }

// Sums of two products do not fit 16 bits, so weights and activations are widened.
struct Int8 {
  static constexpr int bytes = 512, loads = 8, parts = 2;
  static const Word* words(const Activations& x) { return reinterpret_cast<const Word*>(x.bf16); }
  static constexpr int word(int i, int part) { return 2 * i + part; }
  static __m256i take(__m256i w, int part) {
    return part == 0 ? _mm256_and_si256(w, _mm256_set1_epi16(255)) : _mm256_srli_epi16(w, 8);
  }
  static void add(__m256i* sum, const Word* word, const __m256i* w) {
    Lanes::add_pairs(sum[0], sum[1], word, w[0], w[1]);
  }
  static __m256i start(const GroupScale& scale) { return _mm256_set1_epi32(scale.less128); }
  static __m256i finish(__m256i sum) { return sum; }
};

// What sums of 16 bits begin with, in less8; the even and the odd bytes of quads as pairs, in wide.
void prepare_group(Formats formats, const int8_t* q, uint16_t* wide, GroupScale& scale) {
  const __m256i bytes = load(reinterpret_cast<const uint8_t*>(q));
  if ((formats & int4_alone) != 0) {
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(8), bytes);
    __m128i sum = _mm_add_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
    sum = _mm_add_epi16(sum, _mm_shuffle_epi32(sum, 0x4e));
    sum = _mm_add_epi16(sum, _mm_shuffle_epi32(sum, 0xb1));
    scale.less8 = _mm_cvtsi128_si32(_mm_sub_epi16(_mm_setzero_si128(), sum));
  }
  if ((formats & int8_alone) != 0) {
    const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8);
    const __m256i odd = _mm256_srai_epi16(bytes, 8);
    const __m256i low = _mm256_unpacklo_epi32(even, odd), high = _mm256_unpackhi_epi32(even, odd);
    __m256i* to = reinterpret_cast<__m256i*>(wide);
    _mm256_storeu_si256(to, _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(low, high, 0x31));
  }
}

#endif

// Sixteen products of a weight less its offset, -8..7, and at most 127 fit 16 bits; a sum that
// begins with what the offset takes of all never leaves that range.
struct Int4 {
  static constexpr int bytes = 256, loads = 4, parts = 2;
  static const Word* words(const Activations& x) { return reinterpret_cast<const Word*>(x.q); }
  static constexpr int word(int i, int part) { return i + 4 * part; }
  static __m256i take(__m256i w, int part) {
    return _mm256_and_si256(part == 0 ? w : _mm256_srli_epi16(w, 4), _mm256_set1_epi8(15));
  }
  static void add(__m256i* sum, const Word* word, const __m256i* w) { add_quads(sum, word, w); }
  static __m256i start(const GroupScale& scale) { return _mm256_set1_epi32(scale.less8); }
  static __m256i finish(__m256i sum) { return whole(sum); }
};

// fp32 and bf16 weights meet fp32 activations here, which need no preparation.
void prepare(const Activations& x, Formats formats, int32_t first, int32_t last) {
  if ((formats & with_scales) == 0) return;
  for (int32_t row = first; row < last; ++row) {
    quantise_row(x, row);
    const int64_t groups = x.inputs / group_inputs;
    for (int64_t g = row * groups; g < (row + 1) * groups; ++g)
      prepare_group(formats, x.q + g * group_inputs, x.bf16 + g * group_inputs, x.scales[g]);
  }
}

// Sums of a panel for M rows: exact integers per group, then one fused multiply-add in order of
// the groups, which makes results equal to those of AVX-512 bit for bit.
template <typename Weights, int M>
void integer_sums(const Matrix& w, const Activations& x, int32_t panel, int32_t row,
                  __m256 (*sums)[halves]) {
  constexpr int group_words = Weights::loads * Weights::parts;
  const int64_t groups = w.inputs / group_inputs;
  const uint8_t* values = w.values + panel * groups * Weights::bytes;
  const uint16_t* scales = w.scales + panel * groups * panel_outputs;
  const Word* words = Weights::words(x) + row * groups * group_words;
  const GroupScale* scale = x.scales + row * groups;
  __m256 sum[M][halves];
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m) sum[m][0] = sum[m][1] = _mm256_setzero_ps();
  for (int64_t g = 0; g < groups; ++g) {
    if (M < integer_rows)
      for (int i = 0; i < Weights::bytes; i += 64)
        _mm_prefetch(reinterpret_cast<const char*>(values) + bytes_ahead + i, _MM_HINT_T0);
    __m256i dot[M][halves];
    const Word* of_row[M];
    const GroupScale* row_scale[M];
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) {
      of_row[m] = m == 0 ? words : opaque(of_row[m - 1] + groups * group_words);
      row_scale[m] = m == 0 ? scale : opaque(row_scale[m - 1] + groups);
      dot[m][0] = dot[m][1] = Weights::start(*row_scale[m]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < Weights::loads; ++i) {
      const __m256i packed[halves] = {load(values + 64 * i), load(values + 64 * i + 32)};
#pragma GCC unroll 2
      for (int part = 0; part < Weights::parts; ++part) {
        const __m256i taken[halves] = {Weights::take(packed[0], part),
                                       Weights::take(packed[1], part)};
#pragma GCC unroll 4
        for (int m = 0; m < M; ++m)
          Weights::add(dot[m], of_row[m] + Weights::word(i, part), taken);
      }
    }
#pragma GCC unroll 2
    for (int half = 0; half < halves; ++half) {
      const __m256 weight_scale =
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(scales) + half));
#pragma GCC unroll 4
      for (int m = 0; m < M; ++m) {
        const __m256 both = _mm256_mul_ps(weight_scale, _mm256_set1_ps(row_scale[m]->scale));
        const __m256 exact = _mm256_cvtepi32_ps(Weights::finish(dot[m][half]));
        sum[m][half] = _mm256_fmadd_ps(exact, both, sum[m][half]);
      }
    }
    values += Weights::bytes, scales += panel_outputs, words += group_words, ++scale;
  }
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m) sums[m][0] = sum[m][0], sums[m][1] = sum[m][1];
}

// The weights of an even and an odd input, which have a sum each: a word of bf16, two of fp32.
struct Bf16 {
  static constexpr int bytes = 64;  // of both
  static __m256 even(const uint8_t* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(load(p), 16));
  }
  static __m256 odd(const uint8_t* p) {
    return _mm256_castsi256_ps(_mm256_and_si256(load(p), _mm256_set1_epi32(-65536)));
  }
};

struct Fp32 {
  static constexpr int bytes = 128;
  static __m256 even(const uint8_t* p) { return _mm256_castsi256_ps(load(p)); }
  static __m256 odd(const uint8_t* p) { return _mm256_castsi256_ps(load(p + 64)); }
};

// sum += x w for both halves; assembly, as above.
void add_float(__m256* sum, const float* x, const __m256* w) {
  __m256 both;
  __asm__("vbroadcastss %3, %2\n\tvfmadd231ps %2, %4, %0\n\tvfmadd231ps %2, %5, %1"
          : "+x"(sum[0]), "+x"(sum[1]), "=&x"(both)
          : "m"(*x), "x"(w[0]), "x"(w[1]));
}

template <typename Weights, int M>
void float_sums(const Matrix& w, const Activations& x, int32_t panel, int32_t row,
                __m256 (*sums)[halves]) {
  const int64_t inputs = w.inputs;
  const uint8_t* values = w.values + panel * inputs / 2 * Weights::bytes;
  const float* from = x.x + row * inputs;
  __m256 even[M][halves], odd[M][halves];
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m)
    even[m][0] = even[m][1] = odd[m][0] = odd[m][1] = _mm256_setzero_ps();
  for (int64_t i = 0; i < inputs; i += 2, values += Weights::bytes, from += 2) {
    if (M < float_rows)
      for (int j = 0; j < Weights::bytes; j += 64)
        _mm_prefetch(reinterpret_cast<const char*>(values) + bytes_ahead + j, _MM_HINT_T0);
    const __m256 even_w[halves] = {Weights::even(values), Weights::even(values + 32)};
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) add_float(even[m], from + m * inputs, even_w);
    const __m256 odd_w[halves] = {Weights::odd(values), Weights::odd(values + 32)};
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) add_float(odd[m], from + m * inputs + 1, odd_w);
  }
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m) {
    sums[m][0] = _mm256_add_ps(even[m][0], odd[m][0]);
    sums[m][1] = _mm256_add_ps(even[m][1], odd[m][1]);
  }
}

using Sums = void (*)(const Matrix&, const Activations&, int32_t panel, int32_t row,
                      __m256 (*sums)[halves]);

void write(const Product& product, int32_t panel, int32_t row, const __m256* sums) {
  for (int half = 0; half < halves; ++half) {
    const int32_t first = panel * panel_outputs + Lanes::width * half;
    const int32_t left = product.w.outputs - first;
    if (left <= 0) return;
    const int32_t count = left < Lanes::width ? left : Lanes::width;
    float* out = product.y + int64_t{row} * product.y_stride + first;
    __m256 result = sums[half];
    if (product.add) result = _mm256_add_ps(Lanes::load_some(out, count), result);
    Lanes::store_some(out, result, count);
  }
}

template <Sums sums, int M>
void multiply_rows(const Product& product, const Activations& x, int32_t panel, int32_t row) {
  __m256 found[M][halves];
  sums(product.w, x, panel, row, found);
  for (int m = 0; m < M; ++m) write(product, panel, row + m, found[m]);
}

using MultiplyRows = void (*)(const Product&, const Activations&, int32_t panel, int32_t row);

template <typename Weights>
constexpr MultiplyRows integers[integer_rows] = {
    multiply_rows<integer_sums<Weights, 1>, 1>, multiply_rows<integer_sums<Weights, 2>, 2>,
    multiply_rows<integer_sums<Weights, 3>, 3>, multiply_rows<integer_sums<Weights, 4>, 4>};

template <typename Weights>
constexpr MultiplyRows floats[float_rows] = {multiply_rows<float_sums<Weights, 1>, 1>,
                                             multiply_rows<float_sums<Weights, 2>, 2>,
                                             multiply_rows<float_sums<Weights, 3>, 3>};

template <int most>
void multiply_panels(const MultiplyRows (&by_rows)[most], const Product& product,
                     const Activations& x, const Tile& tile) {
  for (int32_t panel = tile.first_panel; panel < tile.last_panel; ++panel) {
    for (int32_t row = tile.first_row; row < tile.last_row; row += most) {
      const int32_t left = tile.last_row - row;
      by_rows[(left < most ? left : most) - 1](product, x, panel, row);
    }
  }
}

void multiply(const Product& product, const Activations& x, const Tile& tile) {
  switch (product.w.format) {
    case Format::int8: return multiply_panels(integers<Int8>, product, x, tile);
    case Format::int4: return multiply_panels(integers<Int4>, product, x, tile);
    case Format::bf16: return multiply_panels(floats<Bf16>, product, x, tile);
    case Format::fp32: return multiply_panels(floats<Fp32>, product, x, tile);
  }
}

}  // namespace
}  // namespace quipu
