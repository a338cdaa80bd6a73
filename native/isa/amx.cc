// Products in AMX tiles; all else is as in AVX-512.
//
// A group of 32 inputs of a panel, 8 rows of 64 bytes, is one tile of weights. Its integer product
// with 16 rows of activations is stored to memory that stays in the first-level cache and scaled in
// vector registers, which takes longer than the product; so a panel's sums of 16 rows keep to
// registers for as many groups as are unpacked, and products run two groups ahead. Results are
// those of AVX-512 bit for bit, so few rows go there. Sums of bf16 round in the tiles' own order:
// at this instruction set every row, alone or not, takes them.
#include <immintrin.h>

#include "dots_avx512.h"

#include "vector_rows.h"

#include "avx512_products.h"

#include "tiles.h"

#include "vector_attend.h"

#include "vector_learn.h"

#include "vector_fixed.h"

namespace quipu {
namespace {

constexpr int rows_of_tile = 16;
constexpr int panel_block = 32;  // groups of a panel unpacked at a time: 16 KiB

// Tiles 0 and 1 are activations, 2 and 3 weights, 4 to 7 sums of `rows` rows.
TileShapes shapes_of(int32_t rows, int32_t activation_bytes) {
  TileShapes shapes;
  for (int tile = 0; tile < 8; ++tile) {
    const bool weights = tile == 2 || tile == 3;
    shapes.rows[tile] = static_cast<uint8_t>(weights ? activation_bytes / 4 : rows);
    shapes.row_bytes[tile] = static_cast<uint16_t>(tile < 2 ? activation_bytes : 64);
  }
  return shapes;
}

// Rows of a tile: sixteen as long as there are, then the rest, which need a configuration of their
// own. `body(first, last, height)`.
template <typename Body>
void each_height(const Tile& tile, int32_t activation_bytes, const Body& body) {
  const int32_t rows = tile.last_row - tile.first_row, rest = rows % rows_of_tile;
  if (rows > rest) {
    configure_tiles(shapes_of(rows_of_tile, activation_bytes));
    body(tile.first_row, tile.last_row - rest, rows_of_tile);
  }
  if (rest > 0) {
    configure_tiles(shapes_of(rest, activation_bytes));
    body(tile.last_row - rest, tile.last_row, rest);
  }
  release_tiles();
}

// Integers -----------------------------------------------------------------------------------

struct Panel {
  alignas(64) uint8_t values[panel_block][512];  // signed bytes
  alignas(64) float scales[panel_block][panel_outputs];
  alignas(64) int32_t dots[4][rows_of_tile][panel_outputs];
  alignas(64) float sums[chunk_rows][panel_outputs];
};

template <typename Weights>
void unpack_signed(const Matrix& w, int32_t panel, int32_t group, int32_t count, Panel& to) {
  const int64_t at = int64_t{panel} * (w.inputs / group_inputs) + group;
  const uint8_t* values = w.values + at * Weights::bytes;
  const uint16_t* scales = w.scales + at * panel_outputs;
  const __m512i offset = _mm512_set1_epi8(Weights::offset);
  for (int32_t g = 0; g < count; ++g, values += Weights::bytes) {
    prefetch<Weights::bytes>(values + bytes_ahead);
    _mm512_store_ps(to.scales[g], widen(scales + g * panel_outputs));
    __m512i parts[8];
    Weights::unpack(values, parts);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i)
      _mm512_store_si512(to.values[g] + 64 * i, _mm512_sub_epi8(parts[i], offset));
  }
}

// The integer product of a group, by way of the tiles of its parity.
template <int Parity>
void dot_group(const int8_t* q, int64_t inputs, const uint8_t* weights, int32_t* dots) {
  load_tile<Parity>(q, inputs);
  load_tile<2 + Parity>(weights, 64);
  zero_tile<4 + Parity>();
  add_signed_bytes<4 + Parity, Parity, 2 + Parity>();
  store_tile<4 + Parity>(dots, 64);
}

void dot_group(const int8_t* q, int64_t inputs, int32_t g, Panel& panel) {
  int32_t* dots = panel.dots[g % 4][0];
  if (g % 2 == 0)
    dot_group<0>(q + g * group_inputs, inputs, panel.values[g], dots);
  else
    dot_group<1>(q + g * group_inputs, inputs, panel.values[g], dots);
}

// Adds the groups of a block to sums [rows, 16]; lanes of rows that are not there hold anything.
void add_block(const Activations& x, int32_t row, int32_t rows, int32_t group, int32_t count,
               Panel& panel, float (*sums)[panel_outputs]) {
  const int64_t groups = x.inputs / group_inputs;
  const int8_t* q = x.q + int64_t{row} * x.inputs + group * group_inputs;
  const GroupScale* scales = x.scales + row * groups + group;
  __m512 sum[rows_of_tile];
#pragma GCC unroll 16
  for (int m = 0; m < rows_of_tile; ++m) sum[m] = _mm512_load_ps(sums[m]);
  dot_group(q, x.inputs, 0, panel);
  if (count > 1) dot_group(q, x.inputs, 1, panel);
  for (int32_t g = 0; g < count; ++g) {
    if (g + 2 < count) dot_group(q, x.inputs, g + 2, panel);
    const __m512 weight_scale = _mm512_load_ps(panel.scales[g]);
    const int32_t* dots = panel.dots[g % 4][0];
    const GroupScale* scale = scales + g;
#pragma GCC unroll 16
    for (int m = 0; m < rows_of_tile; ++m) {
      sum[m] = add_group(sum[m], _mm512_load_si512(dots + m * panel_outputs), weight_scale,
                         _mm512_set1_ps(scale->scale));
      // The last row's scale stands in for those of rows that are not there.
      scale = opaque(m + 1 < rows ? scale + groups : scale);
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < rows_of_tile; ++m) _mm512_store_ps(sums[m], sum[m]);
}

template <typename Weights>
void panel_of_rows(const Product& product, const Activations& x, int32_t at, int32_t first,
                   int32_t last, int32_t height) {
  Panel panel;
  const int32_t groups = x.inputs / group_inputs;
  __builtin_memset(panel.sums, 0, sizeof panel.sums);
  __builtin_memset(panel.dots, 0, sizeof panel.dots);
  for (int32_t group = 0; group < groups; group += panel_block) {
    const int32_t count = groups - group < panel_block ? groups - group : panel_block;
    unpack_signed<Weights>(product.w, at, group, count, panel);
    for (int32_t row = first; row < last; row += height)
      add_block(x, row, height, group, count, panel, panel.sums + (row - first));
  }
  const __mmask16 lanes = lanes_of(product.w, at);
  for (int32_t row = first; row < last; ++row)
    write(product, at, row, lanes, _mm512_load_ps(panel.sums[row - first]));
}

template <typename Weights>
void multiply_integers(const Product& product, const Activations& x, const Tile& tile) {
  each_height(tile, group_inputs, [&](int32_t first, int32_t last, int32_t height) {
    for (int32_t row = first; row < last; row += chunk_rows)
      for (int32_t panel = tile.first_panel; panel < tile.last_panel; ++panel)
        panel_of_rows<Weights>(product, x, panel, row,
                               last - row < chunk_rows ? last : row + chunk_rows, height);
  });
}

// bf16 ---------------------------------------------------------------------------------------

// Panels `panel` and, if Panels is 2, the next; rows of one tile or two.
template <int Heights, int Panels>
void bf16_sums(const Product& product, const Activations& x, int32_t panel, int32_t row,
               int32_t height) {
  const int64_t inputs = x.inputs, bytes = inputs * panel_outputs * 2;
  const uint8_t* values = product.w.values + panel * bytes;
  const uint16_t* from = x.bf16 + row * inputs;
  zero_tile<4>(), zero_tile<5>(), zero_tile<6>(), zero_tile<7>();
  for (int64_t i = 0; i < inputs; i += group_inputs, from += group_inputs, values += 1024) {
    prefetch<1024>(values + bytes_ahead);
    load_tile<0>(from, 2 * inputs);
    load_tile<2>(values, 64);
    add_bf16_pairs<4, 0, 2>();
    if constexpr (Panels == 2) {
      prefetch<1024>(values + bytes + bytes_ahead);
      load_tile<3>(values + bytes, 64);
      add_bf16_pairs<5, 0, 3>();
    }
    if constexpr (Heights == 2) {
      load_tile<1>(from + height * inputs, 2 * inputs);
      add_bf16_pairs<6, 1, 2>();
      if constexpr (Panels == 2) add_bf16_pairs<7, 1, 3>();
    }
  }
  alignas(64) float sums[2][2][rows_of_tile][panel_outputs];
  store_tile<4>(sums[0][0], 64), store_tile<5>(sums[0][1], 64);
  store_tile<6>(sums[1][0], 64), store_tile<7>(sums[1][1], 64);
  for (int p = 0; p < Panels; ++p) {
    const __mmask16 lanes = lanes_of(product.w, panel + p);
    for (int h = 0; h < Heights; ++h)
      for (int32_t m = 0; m < height; ++m)
        write(product, panel + p, row + h * height + m, lanes, _mm512_load_ps(sums[h][p][m]));
  }
}

template <int Panels>
void bf16_panels(const Product& product, const Activations& x, int32_t panel, int32_t first,
                 int32_t last, int32_t height) {
  int32_t row = first;
  for (; row + 2 * height <= last; row += 2 * height)
    bf16_sums<2, Panels>(product, x, panel, row, height);
  if (row < last) bf16_sums<1, Panels>(product, x, panel, row, height);
}

void multiply_bf16(const Product& product, const Activations& x, const Tile& tile) {
  each_height(tile, 2 * group_inputs, [&](int32_t first, int32_t last, int32_t height) {
    int32_t panel = tile.first_panel;
    for (; panel + 2 <= tile.last_panel; panel += 2)
      bf16_panels<2>(product, x, panel, first, last, height);
    if (panel < tile.last_panel) bf16_panels<1>(product, x, panel, first, last, height);
  });
}

void multiply_on_tiles(const Product& product, const Activations& x, const Tile& tile) {
  const Format format = product.w.format;
  if (format == Format::bf16) return multiply_bf16(product, x, tile);
  if (format == Format::fp32 || tile.last_row - tile.first_row <= few_rows)
    return multiply(product, x, tile);
  if (format == Format::int8) return multiply_integers<Int8>(product, x, tile);
  multiply_integers<Int4>(product, x, tile);
}

}  // namespace

#if defined(QUIPU_SOFTWARE_TILES)
#define QUIPU_TABLE software_tile_kernels
#else
#define QUIPU_TABLE amx_kernels
#endif

extern const Kernels QUIPU_TABLE;
const Kernels QUIPU_TABLE = {Isa::amx, prepare, multiply_on_tiles, rms_norm, rotate, silu_mul,
                             store, attend, merge, finish, argmax, see_document, unsee_document,
                             multiply_fixed};

}  // namespace quipu
