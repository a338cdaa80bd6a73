// Attention of the query heads of one key/value head over one span, a block of keys at a time.
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
constexpr int block_groups = key_block / slot_group;
constexpr int block_vectors = key_block / lanes;
constexpr int tile_rows = 4;
constexpr int tile_vectors = 32 / group_vectors / tile_rows / 2;  // 16 sums, or 8 of 16 registers
constexpr float lowest = -3e38f;

// sum [M, N] += words [steps, N] times factors [M, steps]; a word of one step lies `stride` bytes
// after that of the step before.
template <typename Dots, int M, int N>
void accumulate(const uint8_t* const* words, int64_t stride, int32_t steps,
                const typename Dots::Factor* factors, int64_t factor_stride, F (&sum)[M][N]) {
  for (int32_t step = 0; step < steps; ++step) {
    typename Dots::Word word[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) word[n] = Dots::load(words[n] + step * stride);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n)
        sum[m][n] = Dots::add(sum[m][n], word[n],
                              factors + m * factor_stride + step * Dots::per_word);
  }
}

// A block's groups in the pages or, of int8, widened to bf16.
struct Block {
  const uint8_t* keys[block_groups];
  const uint8_t* values[block_groups];
  const float* key_scales[block_groups];
  const float* value_scales[block_groups];
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
  int32_t first_seen;  // keys that row 0 sees, counted from the block's first
  int32_t group;       // query heads of a query

  int32_t seen(int32_t row) const {
    const int32_t count = first_seen + row / group;
    return count < key_block ? count : key_block;
  }
};

// Scores [M, key_block] of M rows for the groups of a block.
template <typename Dots, int M>
void score(const Block& block, int32_t groups, const typename Dots::Factor* q, int32_t head_size,
           float* scores) {
  constexpr int N = tile_vectors;
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

// Scores of one row become weights; returns what its earlier sums are to be multiplied by.
template <typename Dots, bool Scaled>
float weigh(const Block& block, int32_t seen, const float* scores, float& largest, F& total,
            typename Dots::Factor* weights) {
  F x[block_vectors], peak = Lanes::set(largest);
  for (int i = 0; i < block_vectors; ++i) {
    x[i] = Lanes::load(scores + i * lanes);
    if (Scaled && i * lanes < seen)
      x[i] = Lanes::mul(x[i], Lanes::load(block.key_scales[i / group_vectors] +
                                          i % group_vectors * lanes));
    if (seen < key_block) x[i] = Lanes::keep_first(x[i], seen - i * lanes, Lanes::set(-__builtin_inff()));
    peak = Lanes::max(x[i], peak);
  }
  const float before = largest;
  largest = Lanes::largest(peak);
  float keep = 1;
  if (largest != before) {
    alignas(64) float factor[lanes];
    Lanes::store(factor, Lanes::power_of_two(Lanes::set(before - largest)));
    keep = factor[0];
    total = Lanes::mul(total, Lanes::set(keep));
  }
  for (int i = 0; i < block_vectors; ++i) {
    F weight = Lanes::power_of_two(Lanes::sub(x[i], Lanes::set(largest)));
    total = Lanes::add(total, weight);
    if (Scaled && i * lanes < seen) {
      weight = Lanes::mul(weight, Lanes::load(block.value_scales[i / group_vectors] +
                                              i % group_vectors * lanes));
      if (seen < key_block) weight = Lanes::keep_first(weight, seen - i * lanes, Lanes::set(0));
    }
    Dots::convert(weight, weights + i * lanes);
  }
  return keep;
}

// sums [M, E] = sums * keep [M] + weights [M, slots] values [slots, E], slots [begin, end) of the
// block, N vectors of E; `half` leaves out the second slot of the last word.
template <typename Dots, int M, int N>
void add_vectors(const Block& block, int32_t begin, int32_t end,
                 const typename Dots::Factor* weights, const float* keep, int32_t head_size,
                 int32_t e, float* sums) {
  F sum[M][N];
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n)
      sum[m][n] = Lanes::mul(Lanes::load(sums + m * head_size + e + n * lanes),
                             Lanes::set(keep[m]));
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
  constexpr int N = tile_vectors;
  int32_t e = 0;
  for (; e + N * lanes <= head_size; e += N * lanes)
    add_vectors<Dots, M, N>(block, begin, end, weights, keep, head_size, e, sums);
  for (; e < head_size; e += lanes)
    add_vectors<Dots, M, 1>(block, begin, end, weights, keep, head_size, e, sums);
}

// M rows from `row` on against one block.
template <typename Dots, bool Scaled, int M>
void attend_rows(const Block& block, int32_t head_size, Rows<Dots>& rows, int32_t row,
                 const Gathered& out) {
  const int32_t most = rows.seen(row + M - 1);
  if (most <= 0) return;
  alignas(64) float scores[M * key_block];
  alignas(64) typename Dots::Factor weights[M * key_block];
  float keep[M];
  score<Dots, M>(block, (most + slot_group - 1) / slot_group, rows.q + int64_t{row} * head_size,
                 head_size, scores);
  for (int m = 0; m < M; ++m)
    keep[m] = weigh<Dots, Scaled>(block, rows.seen(row + m), scores + m * key_block,
                                  out.largest[row + m], rows.total[row + m],
                                  weights + m * key_block);
  const int32_t least = rows.seen(row) > 0 ? rows.seen(row) : 0;
  const int32_t common = least / Dots::per_word * Dots::per_word;
  float* sums = out.sums + int64_t{row} * head_size;
  add_values<Dots, M>(block, 0, common, weights, keep, head_size, sums);
  constexpr float one = 1;
  for (int m = 0; m < M; ++m)
    if (rows.seen(row + m) > common)
      add_values<Dots, 1>(block, common, rows.seen(row + m), weights + m * key_block, &one,
                          head_size, sums + m * head_size);
}

template <typename Dots, bool Scaled>
void attend_block(const Block& block, int32_t head_size, Rows<Dots>& rows, int32_t count,
                  const Gathered& out) {
  int32_t row = 0;
  for (; row + 4 <= count; row += 4)
    attend_rows<Dots, Scaled, 4>(block, head_size, rows, row, out);
  if (count - row == 3) attend_rows<Dots, Scaled, 3>(block, head_size, rows, row, out);
  if (count - row == 2) attend_rows<Dots, Scaled, 2>(block, head_size, rows, row, out);
  if (count - row == 1) attend_rows<Dots, Scaled, 1>(block, head_size, rows, row, out);
}

// Queries times scale and log2(e), as factors: weights are then powers of two.
template <typename Dots>
void begin_rows(const Pool& pool, const AttendTask& task, const AttendPart& part, Rows<Dots>& rows,
                const Gathered& out) {
  rows.group = task.heads / pool.kv_heads;
  const F scale = Lanes::set(task.scale * 1.44269504f);
  int32_t row = 0;
  for (int32_t t = part.first; t < part.last; ++t) {
    for (int32_t head = 0; head < rows.group; ++head, ++row) {
      const float* q = task.q + int64_t{t} * task.q_stride +
                       (part.kv_head * rows.group + head) * pool.head_size;
      const int64_t at = int64_t{row} * pool.head_size;
      for (int32_t e = 0; e < pool.head_size; e += lanes) {
        Dots::convert(Lanes::mul(Lanes::load(q + e), scale), rows.q + at + e);
        Lanes::store(out.sums + at + e, Lanes::set(0));
      }
      rows.total[row] = Lanes::set(0);
      out.largest[row] = lowest;
    }
  }
}

template <typename Dots, bool Scaled>
void attend_span(const Pool& pool, const AttendTask& task, const AttendPart& part,
                 const Gathered& out) {
  Rows<Dots> rows;
  Block block;
  Widened widened;
  begin_rows(pool, task, part, rows, out);
  const int32_t count = (part.last - part.first) * rows.group;
  const int32_t begin = part.span * key_span, context = task.first_position + part.last;
  const int32_t end = begin + key_span < context ? begin + key_span : context;
  for (int32_t first = begin; first < end; first += key_block) {
    for (int32_t g = 0; g < block_groups && first + g * slot_group < end; ++g)
      locate_group<Dots, Scaled>(pool, task, part.kv_head, first + g * slot_group, g, block,
                                 widened);
    rows.first_seen = task.first_position + part.first + 1 - first;
    attend_block<Dots, Scaled>(block, pool.head_size, rows, count, out);
  }
  for (int32_t row = 0; row < count; ++row) out.total[row] = Lanes::sum(rows.total[row]);
}

void attend(const Pool& pool, const AttendTask& task, const AttendPart& part,
            const Gathered& out) {
  if (pool.format == KvFormat::fp32) return attend_span<Singles, false>(pool, task, part, out);
  if (pool.format == KvFormat::bf16) return attend_span<Pairs, false>(pool, task, part, out);
  attend_span<Pairs, true>(pool, task, part, out);
}

void merge(const Gathered& into, const Gathered& next, int32_t rows, int32_t head_size) {
  for (int32_t row = 0; row < rows; ++row) {
    if (next.total[row] == 0) continue;
    const float a = into.largest[row], b = next.largest[row], largest = a > b ? a : b;
    const F keep = Lanes::power_of_two(Lanes::set(a - largest));
    const F take = Lanes::power_of_two(Lanes::set(b - largest));
    alignas(64) float factors[2 * lanes];
    Lanes::store(factors, keep);
    Lanes::store(factors + lanes, take);
    into.largest[row] = largest;
    into.total[row] = into.total[row] * factors[0] + next.total[row] * factors[lanes];
    for (int64_t e = int64_t{row} * head_size; e < (int64_t{row} + 1) * head_size; e += lanes)
      Lanes::store(into.sums + e, Lanes::fma(Lanes::load(next.sums + e), take,
                                             Lanes::mul(Lanes::load(into.sums + e), keep)));
  }
}

void finish(const Pool& pool, const AttendTask& task, const AttendPart& part,
            const Gathered& all) {
  const int32_t group = task.heads / pool.kv_heads;
  int32_t row = 0;
  for (int32_t t = part.first; t < part.last; ++t) {
    for (int32_t head = 0; head < group; ++head, ++row) {
      float* out = task.out + int64_t{t} * task.out_stride +
                   (part.kv_head * group + head) * pool.head_size;
      const float* sums = all.sums + int64_t{row} * pool.head_size;
      const F total = Lanes::set(all.total[row]);
      for (int32_t e = 0; e < pool.head_size; e += lanes)
        Lanes::store(out + e, Lanes::div(Lanes::load(sums + e), total));
    }
  }
}

}  // namespace
}  // namespace quipu
