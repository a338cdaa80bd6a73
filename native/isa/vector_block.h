// What attention does with few rows and one block of keys: scores, weights, weighted values.
//
// Scores and weighted values are the same product: words of keys (16 slots in lanes, along the
// head) or of values (the head in lanes, along slots), times one broadcast factor per row. Every
// lane is a sum of its own, in order, so that nothing is added across lanes and a row's result
// does not depend on the rows that it shares registers with. Keys that a row must not see have
// weight 0, and their values are not touched: what lies there may be anything.
#pragma once

#include "pages.h"

namespace quipu {
namespace {

constexpr int lanes = Lanes::width;
constexpr int group_vectors = slot_group / lanes;            // of a word of a group of keys
constexpr int key_groups = key_block / slot_group;
constexpr int block_vectors = key_block / lanes;
constexpr int query_rows = 4;
// Vectors that so many rows take at once: 16 sums, or 8 of 16 registers, also of one row, whose few
// sums would wait for themselves.
constexpr int tile_vectors(int rows) {
  const int vectors = (rows > 2 ? 4 : rows > 1 ? 8 : 16) / group_vectors;
  return vectors < block_vectors ? vectors : block_vectors;
}
constexpr float lowest = -3e38f;

// sum [M, N] += words [steps, N] times factors [M, steps]; a word of one step lies `stride` bytes
// after that of the step before.
template <typename Dots, int M, int N>
void accumulate(const uint8_t* const* words, int64_t stride, int32_t steps,
                const typename Dots::Factor* factors, int64_t factor_stride, F (&sum)[M][N]) {
  F own[M][N];  // in registers: the compiler cannot know that sums and factors lie apart
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) own[m][n] = sum[m][n];
#pragma GCC unroll 1
  for (int32_t step = 0; step < steps; ++step) {
    typename Dots::Word word[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) word[n] = Dots::load(words[n] + step * stride);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n)
        own[m][n] = Dots::add(own[m][n], word[n],
                              factors + m * factor_stride + step * Dots::per_word);
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sum[m][n] = own[m][n];
}

// A block's groups in the pages or, of int8, widened to bf16.
struct Block {
  int32_t first;  // position
  const uint8_t* keys[key_groups];
  const uint8_t* values[key_groups];
  const float* key_scales[key_groups];
  const float* value_scales[key_groups];
};

struct Widened {
  alignas(64) uint8_t keys[2 * key_block * max_head_size];
  alignas(64) uint8_t values[2 * key_block * max_head_size];
};

template <typename Dots>
const uint8_t* widen_group(const uint8_t* group, int32_t head_size, uint8_t* out) {
  for (int32_t word = 0; word < 8 * head_size; word += lanes) {
    const auto words = Dots::widen(group + 2 * word);
    __builtin_memcpy(out + 4 * word, &words, sizeof words);
  }
  return out;
}

// The group that holds `position`; int8 is widened into `widened`.
template <typename Dots, bool Scaled>
void locate_group(const Pool& pool, const AttendTask& task, int32_t kv_head, int32_t position,
                  int32_t g, Block& block, Widened& widened) {
  const int64_t at = group_at(pool, task.pages, kv_head, position);
  block.keys[g] = pool.keys + at;
  block.values[g] = pool.values + at;
  if constexpr (Scaled) {
    const int32_t size = pool.head_size;
    block.key_scales[g] = reinterpret_cast<const float*>(block.keys[g] + slot_group * size);
    block.value_scales[g] = reinterpret_cast<const float*>(block.values[g] + slot_group * size);
    const int64_t to = int64_t{2} * slot_group * size * g;
    block.keys[g] = widen_group<Dots>(block.keys[g], size, widened.keys + to);
    block.values[g] = widen_group<Dots>(block.values[g], size, widened.values + to);
  }
}

// Rows of one part: their factors, and what they gathered. R rows.
template <typename Dots>
struct Rows {
  alignas(64) typename Dots::Factor q[max_part_rows * max_head_size];  // [R, E]
  F total[max_part_rows];  // lane by lane
  int32_t position;        // of row 0
  int32_t group;           // query heads of a query
  int32_t count;           // R

  // Keys of a block that a row sees; less than 1 if none.
  int32_t seen(const Block& block, int32_t row) const {
    const int32_t keys = position + row / group + 1 - block.first;
    return keys < key_block ? keys : key_block;
  }
};

// Scores [M, key_block] of M rows for the groups of a block.
template <typename Dots, int M>
void score(const Block& block, int32_t groups, const typename Dots::Factor* q, int32_t head_size,
           float* scores) {
  constexpr int N = tile_vectors(M);
  for (int32_t vector = 0; vector < groups * group_vectors; vector += N) {
    const uint8_t* words[N];
    for (int n = 0; n < N; ++n) {
      // Beyond the last group anything will do: nobody looks at its scores.
      const int32_t g = (vector + n) / group_vectors;
      words[n] = block.keys[g < groups ? g : 0] + (vector + n) % group_vectors * 4 * lanes;
    }
    F sum[M][N];
    for (int m = 0; m < M; ++m)
      for (int n = 0; n < N; ++n) sum[m][n] = Lanes::set(0);
    accumulate<Dots, M, N>(words, 4 * slot_group, head_size / Dots::per_word, q, head_size, sum);
    for (int m = 0; m < M; ++m)
      for (int n = 0; n < N; ++n)
        Lanes::store(scores + m * key_block + (vector + n) * lanes, sum[m][n]);
  }
}

// What up to query_rows rows of a block need of each other's numbers: those of one row lie in one
// lane, so that maxima and the factors that follow from them are found for all rows at once.
template <typename Dots>
struct RowTile {
  alignas(64) float scores[query_rows * key_block];
  alignas(64) typename Dots::Factor weights[query_rows * key_block];
  alignas(64) float largest[lanes] = {};
  alignas(64) float keep[lanes];  // what earlier sums are to be multiplied by
};

// Scores of one row, with its keys' scales; those it must not see become infinitely small. Returns
// the largest, lane by lane.
template <bool Scaled>
F peak_of(const Block& block, int32_t seen, float* scores) {
  F peak = Lanes::set(lowest);
  for (int i = 0; i < block_vectors; ++i) {
    F x = Lanes::load(scores + i * lanes);
    if (Scaled && i * lanes < seen)
      x = Lanes::mul(x, Lanes::load(block.key_scales[i / group_vectors] +
                                    i % group_vectors * lanes));
    if (seen < key_block) x = Lanes::keep_first(x, seen - i * lanes, Lanes::set(-__builtin_inff()));
    if (Scaled || seen < key_block) Lanes::store(scores + i * lanes, x);
    peak = Lanes::max(x, peak);
  }
  return peak;
}

// Scores of one row become weights, which are added to its total.
template <typename Dots, bool Scaled>
void weigh_row(const Block& block, int32_t seen, const float* scores, float largest, float keep,
               F& total, typename Dots::Factor* weights) {
  F sum = Lanes::mul(total, Lanes::set(keep));
  for (int i = 0; i < block_vectors; ++i) {
    F weight = Lanes::power_of_two(Lanes::sub(Lanes::load(scores + i * lanes),
                                              Lanes::set(largest)));
    sum = Lanes::add(sum, weight);
    if (Scaled && i * lanes < seen) {
      weight = Lanes::mul(weight, Lanes::load(block.value_scales[i / group_vectors] +
                                              i % group_vectors * lanes));
      if (seen < key_block) weight = Lanes::keep_first(weight, seen - i * lanes, Lanes::set(0));
    }
    Dots::convert(weight, weights + i * lanes);
  }
  total = sum;
}

// M rows, the first of which is `row`.
template <typename Dots, bool Scaled, int M>
void weigh(const Block& block, Rows<Dots>& rows, int32_t row, float* largest, RowTile<Dots>& tile) {
  F peaks[query_rows];
  for (int m = 0; m < query_rows; ++m)
    peaks[m] = m < M ? peak_of<Scaled>(block, rows.seen(block, row + m),
                                       tile.scores + m * key_block)
                     : Lanes::set(lowest);
  for (int m = 0; m < M; ++m) tile.largest[m] = largest[row + m];
  const F before = Lanes::load(tile.largest), after = Lanes::max(Lanes::largest(peaks), before);
  Lanes::store(tile.largest, after);
  Lanes::store(tile.keep, Lanes::power_of_two(Lanes::sub(before, after)));
  for (int m = 0; m < M; ++m) {
    largest[row + m] = tile.largest[m];
    weigh_row<Dots, Scaled>(block, rows.seen(block, row + m), tile.scores + m * key_block,
                            tile.largest[m], tile.keep[m], rows.total[row + m],
                            tile.weights + m * key_block);
  }
}

// sums [M, E] = sums * keep [M] + weights [M, slots] values [slots, E], slots [begin, end) of the
// block, N vectors of E. Of the last word, the second slot may lie beyond the end.
template <typename Dots, int M, int N>
void add_vectors(const Block& block, int32_t begin, int32_t end,
                 const typename Dots::Factor* weights, const float* keep, int32_t head_size,
                 int32_t e, float* sums) {
  F sum[M][N];
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n)
      sum[m][n] = Lanes::mul(Lanes::load(sums + m * head_size + e + n * lanes),
                             Lanes::set(keep[m]));
  for (; begin % slot_group == 0 && begin + slot_group <= end; begin += slot_group) {
    const uint8_t* words[N];
    for (int n = 0; n < N; ++n)
      words[n] = block.values[begin / slot_group] + 4 * (e + n * lanes);
    accumulate<Dots, M, N>(words, 4 * head_size, slot_group / Dots::per_word, weights + begin,
                           key_block, sum);
  }
  while (begin < end) {
    const int32_t g = begin / slot_group, slot = begin % slot_group;
    const int32_t stop = (g + 1) * slot_group < end ? (g + 1) * slot_group : end;
    const int32_t steps = (stop - begin) / Dots::per_word;
    const uint8_t* words[N];
    for (int n = 0; n < N; ++n)
      words[n] = block.values[g] + 4 * (slot / Dots::per_word * head_size + e + n * lanes);
    accumulate<Dots, M, N>(words, 4 * head_size, steps, weights + begin, key_block, sum);
    begin += steps * Dots::per_word;
    if constexpr (Dots::per_word == 2) {
      if (begin + 1 == stop) {
        for (int m = 0; m < M; ++m)
          for (int n = 0; n < N; ++n)
            sum[m][n] = Dots::add(sum[m][n],
                                  Dots::first_of(Dots::load(words[n] + steps * 4 * head_size)),
                                  weights + m * key_block + begin);
        ++begin;
      }
    }
  }
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n)
      Lanes::store(sums + m * head_size + e + n * lanes, sum[m][n]);
}

template <typename Dots, int M>
void add_values(const Block& block, int32_t begin, int32_t end,
                const typename Dots::Factor* weights, const float* keep, int32_t head_size,
                float* sums) {
  constexpr int N = tile_vectors(M);
  int32_t e = 0;
  for (; e + N * lanes <= head_size; e += N * lanes)
    add_vectors<Dots, M, N>(block, begin, end, weights, keep, head_size, e, sums);
  for (; e < head_size; e += lanes)
    add_vectors<Dots, M, 1>(block, begin, end, weights, keep, head_size, e, sums);
}

}  // namespace
}  // namespace quipu
