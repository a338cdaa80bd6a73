// Attention of the query heads of one key/value head over one span, a block of keys at a time.
#pragma once

#include "vector_block.h"

namespace quipu {
namespace {

// Scores, weights and weighted values of M rows, the first of which is `row`, in one block.
template <typename Dots, bool Scaled, int M>
struct Steps {
  static void scores(const Block& block, int32_t head_size, const Rows<Dots>& rows, int32_t row,
                     RowTile<Dots>& tile) {
    const int32_t groups = (rows.seen(block, row + M - 1) + slot_group - 1) / slot_group;
    score<Dots, M>(block, groups, rows.q + int64_t{row} * head_size, head_size, tile.scores);
  }

  static void weights(const Block& block, Rows<Dots>& rows, int32_t row, const Gathered& out,
                      RowTile<Dots>& tile) {
    weigh<Dots, Scaled, M>(block, rows, row, out.largest, tile);
  }

  // What all rows see they read together.
  static void values(const Block& block, int32_t head_size, const Rows<Dots>& rows, int32_t row,
                     const Gathered& out, const RowTile<Dots>& tile) {
    const int32_t least = rows.seen(block, row) > 0 ? rows.seen(block, row) : 0;
    const int32_t common = least / Dots::per_word * Dots::per_word;
    float* sums = out.sums + int64_t{row} * head_size;
    add_values<Dots, M>(block, 0, common, tile.weights, tile.keep, head_size, sums);
    constexpr float one = 1;
    for (int m = 0; m < M; ++m)
      if (rows.seen(block, row + m) > common)
        add_values<Dots, 1>(block, common, rows.seen(block, row + m),
                            tile.weights + m * key_block, &one, head_size, sums + m * head_size);
  }
};

// body(Steps of so many rows).
template <typename Dots, bool Scaled, typename Body>
void by_count(int32_t count, const Body& body) {
  if (count >= 4) return body(Steps<Dots, Scaled, 4>());
  if (count == 3) return body(Steps<Dots, Scaled, 3>());
  if (count == 2) return body(Steps<Dots, Scaled, 2>());
  body(Steps<Dots, Scaled, 1>());
}

// Runs rows through blocks. Weighted values are added one step late, between the scores and the
// weights of the next rows: the processor finds work on either side of the long chain of
// dependencies from scores to weights.
template <typename Dots, bool Scaled>
struct Pipeline {
  Pipeline(int32_t size, Rows<Dots>& own, const Gathered& to)
      : head_size(size), rows(own), out(to) {}

  const int32_t head_size;
  Rows<Dots>& rows;
  const Gathered& out;
  RowTile<Dots> tile;
  const Block* late = nullptr;  // block and row whose values are to be added
  int32_t late_row = 0;

  void add_late() {
    if (late == nullptr) return;
    by_count<Dots, Scaled>(rows.count - late_row, [&](auto steps) {
      steps.values(*late, head_size, rows, late_row, out, tile);
    });
    late = nullptr;
  }

  void take(const Block& block) {
    for (int32_t row = 0; row < rows.count; row += query_rows) {
      const int32_t left = rows.count - row, last = left < query_rows ? left : query_rows;
      if (rows.seen(block, row + last - 1) <= 0) continue;
      by_count<Dots, Scaled>(left, [&](auto steps) {
        steps.scores(block, head_size, rows, row, tile);
        add_late();
        steps.weights(block, rows, row, out, tile);
      });
      late = &block, late_row = row;
    }
  }
};

// Queries times scale and log2(e), as factors: weights are then powers of two.
template <typename Dots>
void begin_rows(const Pool& pool, const AttendTask& task, const AttendPart& part, Rows<Dots>& rows,
                const Gathered& out) {
  rows.group = task.heads / pool.kv_heads;
  const F scale = Lanes::set(task.scale * 1.44269504f);
  int32_t row = 0;
  rows.position = task.first_position + part.first;
  rows.count = (part.last - part.first) * rows.group;
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
  Block blocks[2];  // one whose values are still to be added
  Widened widened[2];
  begin_rows(pool, task, part, rows, out);
  Pipeline<Dots, Scaled> pipeline(pool.head_size, rows, out);
  const int32_t begin = part.span * key_span, context = task.first_position + part.last;
  const int32_t end = begin + key_span < context ? begin + key_span : context;
  for (int32_t first = begin, turn = 0; first < end; first += key_block, turn ^= 1) {
    blocks[turn].first = first;
    for (int32_t g = 0; g < key_groups && first + g * slot_group < end; ++g)
      locate_group<Dots, Scaled>(pool, task, part.kv_head, first + g * slot_group, g,
                                 blocks[turn], widened[turn]);
    pipeline.take(blocks[turn]);
  }
  pipeline.add_late();
  for (int32_t row = 0; row < rows.count; ++row) out.total[row] = Lanes::sum(rows.total[row]);
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
