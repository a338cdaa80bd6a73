// Products in AVX-512 with VNNI, and with BF16 where the unit is compiled for it.
//
// Few rows: a panel at a time straight from the packed weights, which are unpacked in registers
// once for all rows. Many rows: a strip of two panels; for a block of groups its weights are
// unpacked into the first-level cache, then tiles of six rows pass over them, twelve chains of
// additions that need four loads for three dot products. Sums wait in memory between blocks, which
// rounds nothing: both ways, and every number of rows, give the same bits.
#pragma once

#include <immintrin.h>

#include "../kernels.h"
#include "bf16_avx512.h"
#include "lanes_avx512.h"
#include "vector_rows.h"
#include "words.h"

namespace quipu {
namespace {

constexpr int few_rows = 8;
constexpr int streamed_rows = 16;  // up to here twice through a panel is faster than unpacking it
constexpr int strip_panels = 2;
constexpr int strip_rows = 6;
constexpr int strip_groups = 16;  // 16 KiB of bytes in a strip
constexpr int chunk_rows = 96;    // rows that share unpacked weights
constexpr int bytes_ahead = 8192;  // hardware alone prefetches too little, and ends at pages

template <int Bytes>
void prefetch(const void* p) {
#pragma GCC unroll 8
  for (int i = 0; i < Bytes; i += 64)
    _mm_prefetch(static_cast<const char*>(p) + i, _MM_HINT_T0);
}

__m512i spread(const Word* p) { return _mm512_set1_epi32(*p); }

// Assembly, because GCC copies and spills sums of these intrinsics.
void add_dot(__m512i& sum, __m512i bytes, __m512i quads) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(bytes), "v"(quads));
}
void add_dot(__m512i& sum, __m512i bytes, const Word* quad) {
  __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(bytes), "m"(*quad));
}

// A group of int8 or int4 of one panel: `unpack` makes the eight registers of bytes without sign.
struct Int8 {
  static constexpr int bytes = 512, offset = -128;  // of a group; 128 as a byte
  static int32_t less(const GroupScale& scale) { return scale.less128; }
  static void unpack(const uint8_t* p, __m512i* w) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) w[i] = _mm512_loadu_si512(p + 64 * i);
  }
};

struct Int4 {
  static constexpr int bytes = 256, offset = 8;
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

__m512 widen(const uint16_t* scales) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales)));
}

// The arithmetic of a group that every instruction set keeps to: exact integers, then one rounding
// for the product of scales and one for the sum, in order of the groups.
__m512 add_group(__m512 sum, __m512i dot, __m512 weight_scale, __m512 scale) {
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(weight_scale, scale), sum);
}

// Products of 32-bit words: a pair of bf16, or one fp32. Even and odd words have a sum each,
// because one chain of additions would wait for itself.
struct Bf16 {
  static const Word* words(const Activations& x) { return reinterpret_cast<Word*>(x.bf16); }
  static int32_t count(int32_t inputs) { return inputs / 2; }
  static __m512 add(__m512 sum, __m512i w, __m512i x) {
    return add_pairs(sum, w, x);
  }
};

struct Fp32 {
  static const Word* words(const Activations& x) { return reinterpret_cast<const Word*>(x.x); }
  static int32_t count(int32_t inputs) { return inputs; }
  static __m512 add(__m512 sum, __m512i w, __m512i x) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(w), _mm512_castsi512_ps(x), sum);
  }
};

__mmask16 lanes_of(const Matrix& w, int32_t panel) {
  const int32_t left = w.outputs - panel * panel_outputs;
  return Lanes::first_lanes(left < panel_outputs ? left : panel_outputs);
}

void write(const Product& product, int32_t panel, int32_t row, __mmask16 lanes, __m512 sum) {
  float* y = product.y + int64_t{row} * product.y_stride + panel * panel_outputs;
  if (product.add) sum = _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, y), sum);
  _mm512_mask_storeu_ps(y, lanes, sum);
}

void prepare(const Activations& x, Formats formats, int32_t first, int32_t last) {
  for (int32_t row = first; row < last; ++row) {
    if ((formats & with_scales) != 0) quantise_row(x, row);
    if ((formats & bf16_alone) == 0) continue;
    const float* from = x.x + int64_t{row} * x.inputs;
    uint16_t* to = x.bf16 + int64_t{row} * x.inputs;
    for (int32_t i = 0; i < x.inputs; i += 16)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                          narrow_to_bf16(_mm512_loadu_ps(from + i)));
  }
}

// Few rows -----------------------------------------------------------------------------------

template <typename Weights, int M>
void few_integers(const Product& product, const Activations& x, int32_t panel, int32_t row) {
  const int64_t groups = x.inputs / group_inputs, inputs = x.inputs;
  const uint8_t* values = product.w.values + panel * groups * Weights::bytes;
  const uint16_t* scales = product.w.scales + panel * groups * panel_outputs;
  const int8_t* q = x.q + row * inputs;
  const GroupScale* scale = x.scales + row * groups;
  __m512 sum[M];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) sum[m] = _mm512_setzero_ps();
  for (int64_t g = 0; g < groups; ++g) {
    prefetch<Weights::bytes>(values + bytes_ahead);
    prefetch<64>(scales + bytes_ahead / Weights::bytes * panel_outputs);
    __m512i w[8];
    Weights::unpack(values, w);
    const __m512 weight_scale = widen(scales);
    const int8_t* quads = q;
    const GroupScale* of_row = scale;
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      __m512i dot = _mm512_set1_epi32(Weights::less(*of_row));
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) add_dot(dot, w[i], reinterpret_cast<const Word*>(quads) + i);
      sum[m] = add_group(sum[m], dot, weight_scale, _mm512_set1_ps(of_row->scale));
      quads = opaque(quads + inputs), of_row = opaque(of_row + groups);
    }
    values += Weights::bytes, scales += panel_outputs, q += group_inputs, ++scale;
  }
  const __mmask16 lanes = lanes_of(product.w, panel);
  for (int m = 0; m < M; ++m) write(product, panel, row + m, lanes, sum[m]);
}

template <typename Words, int M>
void few_words(const Product& product, const Activations& x, int32_t panel, int32_t row) {
  const int64_t count = Words::count(x.inputs);
  const uint8_t* values = product.w.values + panel * count * 64;
  const Word* words = Words::words(x) + row * count;
  __m512 even[M], odd[M];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) even[m] = odd[m] = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; i += 2, values += 128, words += 2) {
    prefetch<128>(values + bytes_ahead);
    const __m512i w0 = _mm512_loadu_si512(values), w1 = _mm512_loadu_si512(values + 64);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      even[m] = Words::add(even[m], w0, spread(words + m * count));
      odd[m] = Words::add(odd[m], w1, spread(words + m * count + 1));
    }
  }
  const __mmask16 lanes = lanes_of(product.w, panel);
  for (int m = 0; m < M; ++m)
    write(product, panel, row + m, lanes, _mm512_add_ps(even[m], odd[m]));
}

// Many rows ----------------------------------------------------------------------------------

// Of each panel of a strip; the second register is of odd words.
using Sums = float[strip_panels][2][panel_outputs];

// What the rows of a chunk have in common while they pass over one block of a strip.
struct Strip {
  const uint8_t* values[strip_panels];
  const uint8_t* packed[strip_panels];
  alignas(64) float scales[strip_panels][strip_groups][panel_outputs];
  alignas(64) uint8_t unpacked[strip_panels][strip_groups * 512];
  alignas(64) Sums sums[chunk_rows];
};

template <typename Weights>
void unpack(const Matrix& w, int32_t panel, int32_t group, int32_t count, Strip& strip) {
  for (int p = 0; p < strip_panels; ++p) {
    const int64_t at = int64_t{panel + p} * (w.inputs / group_inputs) + group;
    const uint8_t* values = w.values + at * Weights::bytes;
    const uint16_t* scales = w.scales + at * panel_outputs;
    strip.packed[p] = values;
    strip.values[p] = Weights::bytes == 512 ? values : strip.unpacked[p];
    for (int32_t g = 0; g < count; ++g) {
      _mm512_store_ps(strip.scales[p][g], widen(scales + g * panel_outputs));
      if (Weights::bytes == 512) continue;  // they are what the dot product reads already
      __m512i parts[8];
      Weights::unpack(values + g * Weights::bytes, parts);
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i)
        _mm512_store_si512(strip.unpacked[p] + g * 512 + 64 * i, parts[i]);
    }
  }
}

template <typename Weights, int M>
void tile_integers(const Activations& x, int32_t row, int32_t group, int32_t count,
                   bool first_tile, const Strip& strip, Sums* sums) {
  const int64_t groups = x.inputs / group_inputs, inputs = x.inputs;
  const int8_t* q = x.q + row * inputs + group * group_inputs;
  const GroupScale* scale = x.scales + row * groups + group;
  const uint8_t *first = strip.values[0], *second = strip.values[1];
  __m512 sum0[M], sum1[M];
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    sum0[m] = _mm512_load_ps(sums[m][0][0]);
    sum1[m] = _mm512_load_ps(sums[m][1][0]);
  }
  for (int32_t g = 0; g < count; ++g) {
    const int8_t* const quads[2] = {q, opaque(q + 3 * inputs)};
    const GroupScale* const scales[2] = {scale, opaque(scale + 3 * groups)};
    // The first tile's work hides how long the next block of weights takes to come.
    if (first_tile) {
      prefetch<Weights::bytes>(strip.packed[0] + (strip_groups + g) * Weights::bytes);
      prefetch<Weights::bytes>(strip.packed[1] + (strip_groups + g) * Weights::bytes);
    }
    __m512i dot0[M], dot1[M];
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m)
      dot0[m] = dot1[m] = _mm512_set1_epi32(Weights::less(scales[m / 3][m % 3 * groups]));
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      const __m512i w0 = _mm512_loadu_si512(first + 64 * i);
      const __m512i w1 = _mm512_loadu_si512(second + 64 * i);
#pragma GCC unroll 6
      for (int m = 0; m < M; ++m) {
        const int8_t* from = quads[m / 3] + m % 3 * inputs + 4 * i;
        const __m512i quad = spread(reinterpret_cast<const Word*>(from));
        add_dot(dot0[m], w0, quad);
        add_dot(dot1[m], w1, quad);
      }
    }
    const __m512 scale0 = _mm512_load_ps(strip.scales[0][g]);
    const __m512 scale1 = _mm512_load_ps(strip.scales[1][g]);
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m) {
      const __m512 both = _mm512_set1_ps(scales[m / 3][m % 3 * groups].scale);
      sum0[m] = add_group(sum0[m], dot0[m], scale0, both);
      sum1[m] = add_group(sum1[m], dot1[m], scale1, both);
    }
    first += 512, second += 512, q += group_inputs, ++scale;
  }
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    _mm512_store_ps(sums[m][0][0], sum0[m]);
    _mm512_store_ps(sums[m][1][0], sum1[m]);
  }
}

template <typename Words, int M>
void tile_words(const Activations& x, int32_t row, int32_t group, int32_t count, bool first_tile,
                const Strip& strip, Sums* sums) {
  const int64_t all = Words::count(x.inputs);
  const Word* words = Words::words(x) + row * all + Words::count(group * group_inputs);
  const uint8_t *first = strip.values[0], *second = strip.values[1];
  __m512 sum[2][2][M];  // panel, even or odd, row
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sum[i / 2][i % 2][m] = _mm512_load_ps(sums[m][i / 2][i % 2]);
  for (int32_t i = 0; i < Words::count(count * group_inputs); i += 2) {
    if (first_tile) {
      prefetch<128>(first + Words::count(strip_groups * group_inputs) * 64);
      prefetch<128>(second + Words::count(strip_groups * group_inputs) * 64);
    }
#pragma GCC unroll 2
    for (int parity = 0; parity < 2; ++parity) {
      const __m512i w0 = _mm512_loadu_si512(first + 64 * parity);
      const __m512i w1 = _mm512_loadu_si512(second + 64 * parity);
#pragma GCC unroll 6
      for (int m = 0; m < M; ++m) {
        const __m512i both = spread(words + m * all + parity);
        sum[0][parity][m] = Words::add(sum[0][parity][m], w0, both);
        sum[1][parity][m] = Words::add(sum[1][parity][m], w1, both);
      }
    }
    first += 128, second += 128, words += 2;
  }
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) _mm512_store_ps(sums[m][i / 2][i % 2], sum[i / 2][i % 2][m]);
}

// By format ----------------------------------------------------------------------------------

using Few = void (*)(const Product&, const Activations&, int32_t panel, int32_t row);
using TileOf = void (*)(const Activations&, int32_t row, int32_t group, int32_t count,
                        bool first_tile, const Strip&, Sums*);
using Unpack = void (*)(const Matrix&, int32_t panel, int32_t group, int32_t count, Strip&);

struct Routines {
  Few few[few_rows];        // by rows - 1
  TileOf tile[strip_rows];   // by rows - 1
  Unpack unpack;
};

template <typename Words>
void point(const Matrix& w, int32_t panel, int32_t group, int32_t, Strip& strip) {
  for (int p = 0; p < strip_panels; ++p) {
    const int64_t word = int64_t{panel + p} * Words::count(w.inputs);
    strip.packed[p] = w.values + (word + Words::count(group * group_inputs)) * 64;
    strip.values[p] = strip.packed[p];
  }
}

template <typename Weights>
constexpr Routines integers = {
    {few_integers<Weights, 1>, few_integers<Weights, 2>, few_integers<Weights, 3>,
     few_integers<Weights, 4>, few_integers<Weights, 5>, few_integers<Weights, 6>,
     few_integers<Weights, 7>, few_integers<Weights, 8>},
    {tile_integers<Weights, 1>, tile_integers<Weights, 2>, tile_integers<Weights, 3>,
     tile_integers<Weights, 4>, tile_integers<Weights, 5>, tile_integers<Weights, 6>},
    unpack<Weights>};

template <typename Words>
constexpr Routines words = {
    {few_words<Words, 1>, few_words<Words, 2>, few_words<Words, 3>, few_words<Words, 4>,
     few_words<Words, 5>, few_words<Words, 6>, few_words<Words, 7>, few_words<Words, 8>},
    {tile_words<Words, 1>, tile_words<Words, 2>, tile_words<Words, 3>, tile_words<Words, 4>,
     tile_words<Words, 5>, tile_words<Words, 6>},
    point<Words>};

const Routines& routines(Format format) {
  if (format == Format::int8) return integers<Int8>;
  if (format == Format::int4) return integers<Int4>;
  return format == Format::bf16 ? words<Bf16> : words<Fp32>;
}

// Rows to take next of those left, so that all tiles are nearly as high: 13 rows are 5, 4 and 4.
int32_t even_share(int32_t left, int32_t most) {
  const int32_t tiles = (left + most - 1) / most;
  return (left + tiles - 1) / tiles;
}

void multiply_few(const Routines& of, const Product& product, const Activations& x,
                  const Tile& tile) {
  for (int32_t panel = tile.first_panel; panel < tile.last_panel; ++panel) {
    for (int32_t row = tile.first_row, rows; row < tile.last_row; row += rows) {
      rows = even_share(tile.last_row - row, few_rows);
      of.few[rows - 1](product, x, panel, row);
    }
  }
}

// Rows [first, last), at most chunk_rows, of a strip that begins at `panel`.
void multiply_strip(const Routines& of, const Product& product, const Activations& x,
                    int32_t panel, int32_t first, int32_t last) {
  Strip strip;
  __builtin_memset(strip.sums, 0, static_cast<size_t>(last - first) * sizeof *strip.sums);
  const int32_t groups = x.inputs / group_inputs;
  for (int32_t group = 0; group < groups; group += strip_groups) {
    const int32_t count = groups - group < strip_groups ? groups - group : strip_groups;
    of.unpack(product.w, panel, group, count, strip);
    for (int32_t row = first, rows; row < last; row += rows) {
      rows = even_share(last - row, strip_rows);
      of.tile[rows - 1](x, row, group, count, row == first, strip, strip.sums + (row - first));
    }
  }
  for (int p = 0; p < strip_panels; ++p) {
    const __mmask16 lanes = lanes_of(product.w, panel + p);
    for (int32_t row = first; row < last; ++row) {
      const auto& sums = strip.sums[row - first][p];
      write(product, panel + p, row, lanes,
            _mm512_add_ps(_mm512_load_ps(sums[0]), _mm512_load_ps(sums[1])));
    }
  }
}

void multiply(const Product& product, const Activations& x, const Tile& tile) {
  const Routines& of = routines(product.w.format);
  if (tile.last_row - tile.first_row <= streamed_rows) return multiply_few(of, product, x, tile);
  for (int32_t row = tile.first_row; row < tile.last_row; row += chunk_rows) {
    const int32_t last = tile.last_row - row < chunk_rows ? tile.last_row : row + chunk_rows;
    int32_t panel = tile.first_panel;
    for (; panel + strip_panels <= tile.last_panel; panel += strip_panels)
      multiply_strip(of, product, x, panel, row, last);
    multiply_few(of, product, x, {panel, tile.last_panel, row, last});
  }
}

}  // namespace
}  // namespace quipu
