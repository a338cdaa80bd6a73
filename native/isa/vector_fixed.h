// Products in fixed point. Written in Lanes, whose pairs of 16-bit integers are multiplied and
// added in one or two instructions: half of what fp32 takes.
//
// b is packed in panels of two registers, a in blocks of fixed_rows; a tile of six rows by a panel
// sums one stretch in registers.
#pragma once

#include "../kernels.h"

namespace quipu {
namespace {

constexpr int fixed_pairs = fixed_depth / 2;
constexpr int tile_rows = 6;
constexpr int tile_columns = 2 * Lanes::width;
static_assert(tile_columns <= fixed_panel && fixed_rows % tile_rows == 0 &&
              fixed_rows % Lanes::width == 0);

// What a stretch is multiplied by before rounding, and what its integers are worth.
struct FixedScale {
  float factor, worth;
};

// `most` of all magnitudes; `none` is 0 unless one of the numbers is none.
FixedScale fixed_scale(float most, float none) {
  if (none != 0) return {0, none};
  if (!(most > fixed_least)) return {0, 0};
  return {fixed_largest / most, most / fixed_largest};
}

// [outer, depth]: integers of one stretch, as pairs, zeros up to a whole pair; returns their worth.
float round_row(const float* x, int depth, int32_t* out) {
  using F = Lanes::F;
  const F zero = Lanes::set(0);
  F most = zero, none = zero;
  for (int at = 0; at < depth; at += Lanes::width) {
    const int left = depth - at;
    const F v = Lanes::load_some(x + at, left < Lanes::width ? left : Lanes::width);
    most = Lanes::max(most, Lanes::abs(v));
    none = Lanes::fma(v, zero, none);
  }
  const FixedScale scale = fixed_scale(Lanes::largest(most), Lanes::sum(none));
  const F factor = Lanes::set(scale.factor);
  auto* to = reinterpret_cast<int16_t*>(out);
  for (int at = 0; at < depth; at += Lanes::width) {
    const int left = depth - at;
    const F v = Lanes::load_some(x + at, left < Lanes::width ? left : Lanes::width);
    Lanes::store_int16(to + at, Lanes::nearest(Lanes::mul(v, factor)));
  }
  return scale.worth;
}

// [depth, outer]: stretches side by side, in panels of Width: out [panels, fixed_pairs, Width],
// their worth [panels, Width], zeros where there are none. Rows are read one after the other, as
// they lie.
template <int Width>
void pack_turned(const float* x, int64_t stride, int outer, int depth, int32_t* out, float* worth,
                 float* factors) {
  using F = Lanes::F;
  static_assert(Width % Lanes::width == 0);
  const int whole = (outer + Width - 1) / Width * Width;
  const F zero = Lanes::set(0);
  float *most = factors, *none = worth;
  for (int at = 0; at < whole; at += Lanes::width)
    Lanes::store(most + at, zero), Lanes::store(none + at, zero);
  const auto load = [&](const float* row, int at) {
    const int left = outer - at;
    if (left >= Lanes::width) return Lanes::load(row + at);
    return left > 0 ? Lanes::load_some(row + at, left) : zero;
  };
  for (int row = 0; row < depth; ++row) {
    for (int at = 0; at < outer; at += Lanes::width) {
      const F number = load(x + row * stride, at);
      Lanes::store(most + at, Lanes::max(Lanes::load(most + at), Lanes::abs(number)));
      Lanes::store(none + at, Lanes::fma(number, zero, Lanes::load(none + at)));
    }
  }
  for (int i = 0; i < whole; ++i) {
    const FixedScale scale = fixed_scale(most[i], none[i]);
    factors[i] = scale.factor;
    worth[i] = scale.worth;
  }
  for (int row = 0; row < depth; row += 2) {
    const float *first = x + row * stride, *second = first + stride;
    const bool both = row + 1 < depth;
    int32_t* to = out + row / 2 * Width;
    for (int panel = 0; panel < whole; panel += Width, to += fixed_pairs * Width) {
#pragma GCC unroll 6
      for (int v = 0; v < Width; v += Lanes::width) {
        const int at = panel + v;
        const F factor = Lanes::load(factors + at);
        const F other = both ? load(second, at) : zero;
        Lanes::store(to + v, Lanes::pairs(Lanes::nearest(Lanes::mul(load(first, at), factor)),
                                          Lanes::nearest(Lanes::mul(other, factor))));
      }
    }
  }
}

// All columns of b of one stretch: out [panels, fixed_pairs, tile_columns], worth beside it.
void pack_columns(const FixedTask& x, int start, int depth, int32_t* out, float* worth,
                  float* factors) {
  if (x.b.turned)
    return pack_turned<tile_columns>(x.b.x + start * x.b.stride, x.b.stride, x.columns, depth, out,
                                     worth, factors);
  int32_t row[fixed_pairs] = {};
  const int pairs = (depth + 1) / 2;
  for (int panel = 0; panel < x.columns; panel += tile_columns, out += fixed_pairs * tile_columns) {
    for (int column = 0; column < tile_columns; ++column) {
      const int64_t at = panel + column;
      const bool there = at < x.columns;
      worth[at] = there ? round_row(x.b.x + at * x.b.stride + start, depth, row) : 0;
      for (int pair = 0; pair < pairs; ++pair)
        out[pair * tile_columns + column] = there ? row[pair] : 0;
    }
  }
}

// Rows [first, first + count) of a, which is not turned: out [count, fixed_pairs].
void pack_rows(const FixedTask& x, int first, int count, int start, int depth, int32_t* out,
               float* worth) {
  for (int64_t row = 0; row < count; ++row)
    worth[row] = round_row(x.a.x + (first + row) * x.a.stride + start, depth,
                           out + row * fixed_pairs);
}

// y [M, columns] (+)= the products of M rows with a panel.
template <int M, bool Turned>
void fixed_tile(const int32_t* a, const float* a_worth, const int32_t* b, const float* b_worth,
                int pairs, float* y, int64_t y_stride, int columns, bool add) {
  constexpr int next_row = Turned ? 1 : fixed_pairs, next_pair = Turned ? fixed_rows : 1;
  using F = Lanes::F;
  using I = Lanes::I;
  I sum0[M], sum1[M];
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) sum0[m] = sum1[m] = Lanes::nearest(Lanes::set(0));
  for (int pair = 0; pair < pairs; ++pair, a += next_pair, b += tile_columns) {
    const I b0 = Lanes::load(b), b1 = Lanes::load(b + Lanes::width);
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m) Lanes::add_pairs(sum0[m], sum1[m], a + m * next_row, b0, b1);
  }
  const int first = columns < Lanes::width ? columns : Lanes::width, second = columns - first;
  const F worth0 = Lanes::load(b_worth), worth1 = Lanes::load(b_worth + Lanes::width);
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m, y += y_stride) {
    const F worth = Lanes::set(a_worth[m]);
    F y0 = Lanes::mul(Lanes::to_float(sum0[m]), Lanes::mul(worth, worth0));
    F y1 = Lanes::mul(Lanes::to_float(sum1[m]), Lanes::mul(worth, worth1));
    if (add) y0 = Lanes::add(Lanes::load_some(y, first), y0);
    Lanes::store_some(y, y0, first);
    if (second == 0) continue;
    if (add) y1 = Lanes::add(Lanes::load_some(y + Lanes::width, second), y1);
    Lanes::store_some(y + Lanes::width, y1, second);
  }
}

using FixedTile = void (*)(const int32_t*, const float*, const int32_t*, const float*, int, float*,
                           int64_t, int, bool);
template <bool Turned>
constexpr FixedTile fixed_tiles[tile_rows] = {fixed_tile<1, Turned>, fixed_tile<2, Turned>,
                                              fixed_tile<3, Turned>, fixed_tile<4, Turned>,
                                              fixed_tile<5, Turned>, fixed_tile<6, Turned>};

// Packed numbers and what they are worth.
struct FixedPack {
  int32_t* words;
  float* worth;
};

// A block of rows by all columns, of one stretch.
template <bool Turned>
void multiply_block(const FixedTask& x, int first, int count, const FixedPack& rows,
                    const FixedPack& columns, int depth, bool add) {
  constexpr int next_row = Turned ? 1 : fixed_pairs;
  for (int64_t panel = 0; panel < x.columns; panel += tile_columns) {
    const int left = static_cast<int>(x.columns - panel);
    const int width = left < tile_columns ? left : tile_columns;
    for (int row = 0; row < count; row += tile_rows) {
      const int some = count - row < tile_rows ? count - row : tile_rows;
      fixed_tiles<Turned>[some - 1](
          rows.words + row * next_row, rows.worth + row, columns.words + panel * fixed_pairs,
          columns.worth + panel, (depth + 1) / 2, x.y + (first + row) * x.y_stride + panel,
          x.y_stride, width, add);
    }
  }
}

int whole(int outer, int width) { return (outer + width - 1) / width * width; }

// Stretch by stretch, both packed whole: what is turned is read as it lies.
void multiply_turned(const FixedTask& x) {
  const int columns = whole(x.columns, tile_columns), rows = whole(x.rows, fixed_rows);
  const FixedPack b = {x.words, x.scales};
  const FixedPack a = {x.words + int64_t{columns} * fixed_pairs, x.scales + columns};
  float* factors = a.worth + rows;
  for (int start = 0; start < x.depth; start += fixed_depth) {
    const int depth = x.depth - start < fixed_depth ? x.depth - start : fixed_depth;
    pack_columns(x, start, depth, b.words, b.worth, factors);
    pack_turned<fixed_rows>(x.a.x + start * x.a.stride, x.a.stride, x.rows, depth, a.words,
                            a.worth, factors);
    for (int first = 0; first < x.rows; first += fixed_rows) {
      const int count = x.rows - first < fixed_rows ? x.rows - first : fixed_rows;
      const FixedPack block = {a.words + int64_t{first} * fixed_pairs, a.worth + first};
      multiply_block<true>(x, first, count, block, b, depth, start != 0);
    }
  }
}

// Block by block of rows, b packed before.
void multiply_rows_of(const FixedTask& x) {
  const int64_t columns = whole(x.columns, tile_columns);
  const int64_t stretches = (x.depth + fixed_depth - 1) / fixed_depth;
  const auto packed = [&](int start) {
    const int64_t before = start / fixed_depth * columns;
    return FixedPack{x.words + before * fixed_pairs, x.scales + before};
  };
  const FixedPack rows = {x.words + stretches * columns * fixed_pairs,
                          x.scales + stretches * columns};
  const auto depth_at = [&](int start) {
    return x.depth - start < fixed_depth ? x.depth - start : fixed_depth;
  };
  for (int start = 0; start < x.depth; start += fixed_depth)
    pack_columns(x, start, depth_at(start), packed(start).words, packed(start).worth,
                 rows.worth + fixed_rows);
  for (int first = 0; first < x.rows; first += fixed_rows) {
    const int count = x.rows - first < fixed_rows ? x.rows - first : fixed_rows;
    for (int start = 0; start < x.depth; start += fixed_depth) {
      pack_rows(x, first, count, start, depth_at(start), rows.words, rows.worth);
      multiply_block<false>(x, first, count, rows, packed(start), depth_at(start),
                            start != 0);
    }
  }
}

void multiply_fixed(const FixedTask& x) { x.a.turned ? multiply_turned(x) : multiply_rows_of(x); }

}  // namespace
}  // namespace quipu
