// Causal attention of one head over one document, forward and backward. Written in Lanes.
//
// All products are one routine: strips of up to 6 rows by 2 registers of columns. What a row does
// not see is neither scored nor summed, but for the rest of a strip's last registers.
#pragma once

#include "../kernels.h"

namespace quipu {
namespace {

constexpr int strip_queries = 6;
constexpr float lowest_score = -3e38f;
constexpr float log2_of_e = 1.44269504f, ln_of_2 = 0.69314718f;

// c [M, V registers] = (Add ? c : 0) + a b over `depth`; a's rows are a_row apart, its columns
// a_depth.
template <int M, int V, bool Add>
void small_product(const float* a, int64_t a_row, int64_t a_depth, const float* b, int64_t b_row,
                   int depth, float* c, int64_t c_row) {
  Lanes::F sum[M][V];
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < V; ++v)
      sum[m][v] = Add ? Lanes::load(c + m * c_row + v * Lanes::width) : Lanes::set(0);
  for (int i = 0; i < depth; ++i, a += a_depth, b += b_row) {
    Lanes::F columns[V];
    for (int v = 0; v < V; ++v) columns[v] = Lanes::load(b + v * Lanes::width);
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m) {
      const Lanes::F factor = Lanes::set(a[m * a_row]);
      for (int v = 0; v < V; ++v) sum[m][v] = Lanes::fma(factor, columns[v], sum[m][v]);
    }
  }
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < V; ++v) Lanes::store(c + m * c_row + v * Lanes::width, sum[m][v]);
}

template <int M, bool Add>
void wide_product(const float* a, int64_t a_row, int64_t a_depth, const float* b, int64_t b_row,
                  int depth, float* c, int64_t c_row, int columns) {
  constexpr int pair = 2 * Lanes::width;
  int at = 0;
  for (; at + pair <= columns; at += pair)
    small_product<M, 2, Add>(a, a_row, a_depth, b + at, b_row, depth, c + at, c_row);
  for (; at < columns; at += Lanes::width)
    small_product<M, 1, Add>(a, a_row, a_depth, b + at, b_row, depth, c + at, c_row);
}

using StripProduct = void (*)(const float*, int64_t, int64_t, const float*, int64_t, int, float*,
                              int64_t, int);
template <bool Add>
constexpr StripProduct strip_product[strip_queries] = {
    wide_product<1, Add>, wide_product<2, Add>, wide_product<3, Add>,
    wide_product<4, Add>, wide_product<5, Add>, wide_product<6, Add>};

int least(int a, int b) { return a < b ? a : b; }
int whole_registers(int columns) {
  return (columns + Lanes::width - 1) / Lanes::width * Lanes::width;
}

// x [rows, E] as [E, key_block], the missing columns 0.
void turn(const float* x, int rows, int width, float* out) {
  for (int e = 0; e < width; ++e) {
    for (int row = 0; row < rows; ++row) out[e * key_block + row] = x[row * width + e];
    for (int row = rows; row < key_block; ++row) out[e * key_block + row] = 0;
  }
}

// Turns scores of a row, of which the first `seen` count, into weights 2^(score * scale - most)
// and zeros up to `columns`. Updates largest and total; returns what former sums are worth now.
float to_weights(float* row, int seen, int columns, float scale, float& largest, float& total) {
  using F = Lanes::F;
  const F factor = Lanes::set(scale), none = Lanes::set(lowest_score);
  F most = Lanes::set(largest);
  for (int at = 0; at < seen; at += Lanes::width) {
    F x = Lanes::mul(Lanes::load(row + at), factor);
    if (at + Lanes::width > seen) x = Lanes::keep_first(x, seen - at, none);
    Lanes::store(row + at, x);
    most = Lanes::max(most, x);
  }
  const float now = Lanes::largest(most);
  const F by = Lanes::set(now);
  F sum = Lanes::set(0);
  int at = 0;
  for (; at < seen; at += Lanes::width) {
    F x = Lanes::power_of_two(Lanes::sub(Lanes::load(row + at), by));
    Lanes::store(row + at, x);
    sum = Lanes::add(sum, x);
  }
  for (; at < columns; at += Lanes::width) Lanes::store(row + at, Lanes::set(0));
  float kept[Lanes::width];
  Lanes::store(kept, Lanes::power_of_two(Lanes::set(largest - now)));
  total = total * kept[0] + Lanes::sum(sum);
  largest = now;
  return kept[0];
}

void clear_row(float* row, int width) {
  for (int at = 0; at < width; at += Lanes::width) Lanes::store(row + at, Lanes::set(0));
}

void scale_row(float* row, int width, float by) {
  const Lanes::F factor = Lanes::set(by);
  for (int at = 0; at < width; at += Lanes::width)
    Lanes::store(row + at, Lanes::mul(Lanes::load(row + at), factor));
}

// One strip of queries from `first` on against keys [start, start + width).
void see_block(const HeadTask& x, int first, int queries, int start, int width,
               const float* turned, float* scores, float* largest, float* total) {
  const int E = x.head_size, seen = least(width, first + queries - start);
  const int columns = whole_registers(seen);
  strip_product<false>[queries - 1](x.q + int64_t{first} * E, E, 1, turned, key_block, E, scores,
                                    key_block, columns);
  float* out = x.out + int64_t{first} * E;
  for (int row = 0; row < queries; ++row) {
    const int own = least(width, first + row + 1 - start);
    const float kept =
        to_weights(scores + row * key_block, own < 0 ? 0 : own, columns, x.scale * log2_of_e,
                   largest[row], total[row]);
    if (kept != 1) scale_row(out + row * E, E, kept);
  }
  strip_product<true>[queries - 1](scores, key_block, 1, x.v + int64_t{start} * E, E, seen, out, E,
                                   E);
}

// x.out, x.largest and x.total. Scratch: [blocks of keys, E, key_block] for keys turned, then a
// strip of scores.
void see_document(const HeadTask& x) {
  const int E = x.head_size, blocks = (x.tokens + key_block - 1) / key_block;
  float* scores = x.scratch + int64_t{blocks} * E * key_block;
  for (int block = 0; block < blocks; ++block) {
    const int start = block * key_block;
    turn(x.k + int64_t{start} * E, least(key_block, x.tokens - start), E,
         x.scratch + int64_t{block} * E * key_block);
  }
  for (int first = 0; first < x.tokens; first += strip_queries) {
    const int queries = least(strip_queries, x.tokens - first);
    float largest[strip_queries], total[strip_queries];
    for (int row = 0; row < queries; ++row) {
      largest[row] = lowest_score, total[row] = 0;
      clear_row(x.out + int64_t{first + row} * E, E);
    }
    for (int start = 0; start < first + queries; start += key_block)
      see_block(x, first, queries, start, least(key_block, x.tokens - start),
                x.scratch + int64_t{start} * E, scores, largest, total);
    for (int row = 0; row < queries; ++row) {
      scale_row(x.out + int64_t{first + row} * E, E, 1 / total[row]);
      x.largest[first + row] = largest[row] * ln_of_2;
      x.total[first + row] = total[row];
    }
  }
}

// Weights and gradients by scores of one strip of queries against keys [start, start + width).
void strip_gradients(const HeadTask& x, int first, int queries, int start, int width,
                     const float* turned_k, const float* turned_v, float* weights, float* by) {
  using F = Lanes::F;
  const int E = x.head_size, seen = least(width, first + queries - start);
  const int columns = whole_registers(seen);
  const int64_t at = int64_t{first} * E;
  strip_product<false>[queries - 1](x.q + at, E, 1, turned_k, key_block, E, weights, key_block,
                                    columns);
  strip_product<false>[queries - 1](x.by_out + at, E, 1, turned_v, key_block, E, by, key_block,
                                    columns);
  const F factor = Lanes::set(x.scale * log2_of_e), scale = Lanes::set(x.scale);
  const F zero = Lanes::set(0);
  for (int row = 0; row < queries; ++row) {
    const int own = least(width, first + row + 1 - start);
    const F norm = Lanes::set(x.normaliser[first + row] * log2_of_e);
    const F delta = Lanes::set(x.delta[first + row]);
    float *w = weights + row * key_block, *g = by + row * key_block;
    for (int c = 0; c < key_block; c += Lanes::width) {
      F p = zero, d = zero;
      if (c < own) {
        p = Lanes::power_of_two(Lanes::sub(Lanes::mul(Lanes::load(w + c), factor), norm));
        if (c + Lanes::width > own) p = Lanes::keep_first(p, own - c, zero);
        d = Lanes::mul(Lanes::mul(p, Lanes::sub(Lanes::load(g + c), delta)), scale);
      }
      Lanes::store(w + c, p);
      Lanes::store(g + c, d);
    }
  }
  strip_product<true>[queries - 1](by, key_block, 1, x.k + int64_t{start} * E, E, seen,
                                   x.by_q + at, E, E);
}

// Adds to x.by_q, x.by_k and x.by_v. Scratch: keys and values of a block turned, then weights and
// gradients of a block of queries.
void unsee_document(const HeadTask& x) {
  const int E = x.head_size;
  float *turned_k = x.scratch, *turned_v = turned_k + E * key_block;
  float *weights = turned_v + E * key_block, *by = weights + block_queries * key_block;
  for (int start = 0; start < x.tokens; start += key_block) {
    const int width = least(key_block, x.tokens - start);
    turn(x.k + int64_t{start} * E, width, E, turned_k);
    turn(x.v + int64_t{start} * E, width, E, turned_v);
    for (int block = start; block < x.tokens; block += block_queries) {
      const int rows = least(block_queries, x.tokens - block);
      for (int row = 0; row < rows; row += strip_queries)
        strip_gradients(x, block + row, least(strip_queries, rows - row), start, width, turned_k,
                        turned_v, weights + row * key_block, by + row * key_block);
      for (int key = 0; key < width; key += strip_queries) {
        // Queries before the first of these keys see none of them.
        const int keys = least(strip_queries, width - key);
        const int skip = start + key - block > 0 ? start + key - block : 0;
        if (skip >= rows) break;
        const int64_t from = int64_t{block + skip} * E, to = int64_t{start + key} * E;
        const int64_t place = skip * key_block + key;
        strip_product<true>[keys - 1](weights + place, 1, key_block, x.by_out + from, E,
                                      rows - skip, x.by_v + to, E, E);
        strip_product<true>[keys - 1](by + place, 1, key_block, x.q + from, E, rows - skip,
                                      x.by_k + to, E, E);
      }
    }
  }
}

}  // namespace
}  // namespace quipu
