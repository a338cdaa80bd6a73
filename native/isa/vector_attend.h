// Attention of the query heads of one key/value head, streaming over blocks of keys.
//
// A block of keys and values is widened to fp32 once and then used by every query head that shares
// it, so nothing is repeated per head. Blocks begin at multiples of key_block positions, whatever
// the page size and however a prompt is cut into chunks, and a key that a query must not see is
// left out: a query's result depends on its own context alone.
#pragma once

#include "../kernels.h"

namespace quipu {
namespace {

struct Block {
  alignas(64) float keys[key_block * max_head_size];    // [key_block, E]
  alignas(64) float values[key_block * max_head_size];  // [key_block, E]
};

// What is known of one query head after the keys so far: largest score, sum of weights.
struct Running {
  float largest, total;
};

void widen(const AttendTask& task, const void* pool, int64_t at, float* out) {
  for (int32_t e = 0; e < task.head_size; e += Lanes::width) {
    const F part = task.bf16 ? Lanes::load_bf16(static_cast<const uint16_t*>(pool) + at + e)
                             : Lanes::load(static_cast<const float*>(pool) + at + e);
    Lanes::store(out + e, part);
  }
}

void load_block(const AttendTask& task, int32_t kv_head, int32_t begin, int32_t end, Block& block) {
  for (int32_t position = begin; position < end; ++position) {
    const int64_t page = task.pages[position / task.page_size];
    const int64_t slot = page * task.page_size + position % task.page_size;
    const int64_t at = (slot * task.kv_heads + kv_head) * task.head_size;
    const int32_t row = (position - begin) * task.head_size;
    widen(task, task.keys, at, block.keys + row);
    widen(task, task.values, at, block.values + row);
  }
}

float dot(const float* a, const float* b, int32_t size) {
  F sum = Lanes::mul(Lanes::load(a), Lanes::load(b));
  for (int32_t e = Lanes::width; e < size; e += Lanes::width)
    sum = Lanes::fma(Lanes::load(a + e), Lanes::load(b + e), sum);
  return Lanes::sum(sum);
}

// Scores become weights relative to the new maximum; returns their sum.
float weigh(float* scores, float largest) {
  F total = Lanes::set(0);
  for (int j = 0; j < key_block; j += Lanes::width) {
    const F weight = exponential(Lanes::sub(Lanes::load(scores + j), Lanes::set(largest)));
    Lanes::store(scores + j, weight);
    total = Lanes::add(total, weight);
  }
  return Lanes::sum(total);
}

// out [E] = out * keep + weights [count] values [count, E], four vectors of E at a time.
template <int Parts>
void add_values(const float* weights, const float* values, int32_t count, int32_t head_size,
                float keep, float* out) {
  F sum[Parts];
  for (int i = 0; i < Parts; ++i)
    sum[i] = Lanes::mul(Lanes::load(out + i * Lanes::width), Lanes::set(keep));
  for (int32_t j = 0; j < count; ++j)
    for (int i = 0; i < Parts; ++i)
      sum[i] = Lanes::fma(Lanes::set(weights[j]),
                          Lanes::load(values + j * head_size + i * Lanes::width), sum[i]);
  for (int i = 0; i < Parts; ++i) Lanes::store(out + i * Lanes::width, sum[i]);
}

// One query head against the first `count` keys of a block.
void attend_block(const AttendTask& task, const Block& block, int32_t count, const float* q,
                  Running& running, float* out) {
  const int32_t size = task.head_size;
  // Scores of lanes without a key are so low that their weight is below any fp32 sum.
  alignas(64) float scores[key_block];
  float largest = running.largest;
  for (int32_t j = 0; j < key_block; ++j) {
    scores[j] = j < count ? dot(q, block.keys + j * size, size) * task.scale : -3e38f;
    largest = scores[j] > largest ? scores[j] : largest;
  }
  const float fresh = weigh(scores, largest);
  alignas(64) float factor[Lanes::width];
  Lanes::store(factor, exponential(Lanes::set(running.largest - largest)));
  const float keep = running.total == 0 ? 0 : factor[0];
  running = {largest, running.total * keep + fresh};
  int32_t e = 0;
  for (; e + 4 * Lanes::width <= size; e += 4 * Lanes::width)
    add_values<4>(scores, block.values + e, count, size, keep, out + e);
  for (; e < size; e += Lanes::width)
    add_values<1>(scores, block.values + e, count, size, keep, out + e);
}

void divide(float* out, int32_t size, float total) {
  for (int32_t e = 0; e < size; e += Lanes::width)
    Lanes::store(out + e, Lanes::div(Lanes::load(out + e), Lanes::set(total)));
}

// `visit(query, head of the group, offset in q and out)` for each of the block's query heads.
template <typename Visit>
void each_query_head(const AttendTask& task, int32_t kv_head, int32_t first, int32_t last,
                     const Visit& visit) {
  const int32_t group = task.heads / task.kv_heads;
  for (int32_t t = first; t < last; ++t)
    for (int32_t head = 0; head < group; ++head)
      visit(t, head, (int64_t{t} * task.heads + kv_head * group + head) * task.head_size);
}

void attend(const AttendTask& task, int32_t kv_head, int32_t first, int32_t last) {
  Block block;
  Running running[query_block][max_group_heads];
  each_query_head(task, kv_head, first, last, [&](int32_t t, int32_t head, int64_t at) {
    running[t - first][head] = {-3e38f, 0};
    for (int32_t e = 0; e < task.head_size; ++e) task.out[at + e] = 0;
  });
  const int32_t context = task.first_position + last;
  for (int32_t begin = 0; begin < context; begin += key_block) {
    const int32_t end = begin + key_block < context ? begin + key_block : context;
    load_block(task, kv_head, begin, end, block);
    each_query_head(task, kv_head, first, last, [&](int32_t t, int32_t head, int64_t at) {
      const int32_t seen = task.first_position + t + 1 - begin;
      if (seen <= 0) return;
      attend_block(task, block, seen < key_block ? seen : key_block, task.q + at,
                   running[t - first][head], task.out + at);
    });
  }
  each_query_head(task, kv_head, first, last, [&](int32_t t, int32_t head, int64_t at) {
    divide(task.out + at, task.head_size, running[t - first][head].total);
  });
}

}  // namespace
}  // namespace quipu
