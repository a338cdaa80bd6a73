// Where a token lies in the pages, and how its keys and values are put there: the same bytes
// whatever the instruction set.
#pragma once

#include "../kernels.h"
#include "../numbers.h"

namespace quipu {
namespace {

int64_t group_bytes(const Pool& pool) {
  const int64_t elements = int64_t{slot_group} * pool.head_size;
  if (pool.format == KvFormat::fp32) return elements * 4;
  if (pool.format == KvFormat::bf16) return elements * 2;
  return elements + slot_group * 4;
}

// Offset of the group that holds `position`, in keys and in values.
int64_t group_at(const Pool& pool, const int32_t* pages, int32_t kv_head, int32_t position) {
  const int64_t page = pages[position / pool.page_size];
  const int64_t groups = pool.page_size / slot_group;
  const int64_t group = position % pool.page_size / slot_group;
  return ((page * pool.kv_heads + kv_head) * groups + group) * group_bytes(pool);
}

// One token's keys into slot `slot` of a group, PerWord neighbouring elements in one word.
template <int PerWord, typename T>
void spread_keys(const T* row, int32_t head_size, int32_t slot, uint8_t* group) {
  constexpr int size = PerWord * sizeof(T);
  for (int32_t e = 0; e < head_size; e += PerWord)
    __builtin_memcpy(group + (e / PerWord * slot_group + slot) * size, row + e, size);
}

template <int PerWord, typename T>
void spread_values(const T* row, int32_t head_size, int32_t slot, uint8_t* group) {
  T* to = reinterpret_cast<T*>(group) + (slot / PerWord * head_size * PerWord + slot % PerWord);
  for (int32_t e = 0; e < head_size; ++e) to[e * PerWord] = row[e];
}

void round_row(const float* row, int32_t head_size, uint16_t* out) {
  for (int32_t e = 0; e < head_size; ++e) out[e] = bf16_of_float(row[e]);
}

// Integers of a row; returns their scale, which is NaN where a NaN is in the row.
float quantise_head(const float* row, int32_t head_size, int8_t* out) {
  uint32_t largest_bits = 0;  // as integers, NaNs are the largest magnitudes
  for (int32_t e = 0; e < head_size; ++e) {
    const uint32_t bits = bits_of_float(row[e]) & 0x7fffffff;
    largest_bits = bits > largest_bits ? bits : largest_bits;
  }
  constexpr float nothing = 1e-30f;         // below it 127 / largest could overflow
  constexpr float rounding = 12582912.0f;   // 1.5 * 2^23: the sum's low byte is the integer
  const float largest = float_of_bits(largest_bits);
  const float inverse = largest >= nothing ? 127 / largest : 0;
  for (int32_t e = 0; e < head_size; ++e)
    out[e] = static_cast<int8_t>(bits_of_float(row[e] * inverse + rounding) & 0xff);
  return largest < nothing ? 0 : largest / 127;
}

void store_scale(float scale, int32_t head_size, int32_t slot, uint8_t* group) {
  __builtin_memcpy(group + slot_group * head_size + slot * 4, &scale, 4);
}

void store_token(const Pool& pool, const float* k, const float* v, int64_t at, int32_t slot) {
  const int32_t size = pool.head_size;
  if (pool.format == KvFormat::fp32) {
    spread_keys<1>(k, size, slot, pool.keys + at);
    spread_values<1>(v, size, slot, pool.values + at);
  } else if (pool.format == KvFormat::bf16) {
    uint16_t row[max_head_size];
    round_row(k, size, row);
    spread_keys<2>(row, size, slot, pool.keys + at);
    round_row(v, size, row);
    spread_values<2>(row, size, slot, pool.values + at);
  } else {
    int8_t row[max_head_size];
    store_scale(quantise_head(k, size, row), size, slot, pool.keys + at);
    spread_keys<2>(row, size, slot, pool.keys + at);
    store_scale(quantise_head(v, size, row), size, slot, pool.values + at);
    spread_values<2>(row, size, slot, pool.values + at);
  }
}

void store(const Pool& pool, const AttendTask& task, int32_t kv_head, int32_t first,
           int32_t last) {
  for (int32_t t = first; t < last; ++t) {
    const int32_t position = task.first_position + t;
    const int64_t row = int64_t{t} * task.kv_stride + kv_head * pool.head_size;
    store_token(pool, task.k + row, task.v + row,
                group_at(pool, task.pages, kv_head, position), position % slot_group);
  }
}

}  // namespace
}  // namespace quipu
