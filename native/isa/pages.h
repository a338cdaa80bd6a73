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

// Four rows of four 32-bit words each become columns.
void transpose(const uint8_t* from, int64_t from_stride, uint8_t* to, int64_t to_stride) {
  using Words = uint32_t __attribute__((vector_size(16)));
  Words row[4];
  for (int i = 0; i < 4; ++i) __builtin_memcpy(&row[i], from + i * from_stride, sizeof(Words));
  constexpr Words low = {0, 4, 1, 5}, high = {2, 6, 3, 7}, halves = {0, 1, 4, 5},
                  others = {2, 3, 6, 7};
  const Words a = __builtin_shuffle(row[0], row[1], low);
  const Words b = __builtin_shuffle(row[2], row[3], low);
  const Words c = __builtin_shuffle(row[0], row[1], high);
  const Words d = __builtin_shuffle(row[2], row[3], high);
  const Words columns[4] = {__builtin_shuffle(a, b, halves), __builtin_shuffle(a, b, others),
                            __builtin_shuffle(c, d, halves), __builtin_shuffle(c, d, others)};
  for (int i = 0; i < 4; ++i) __builtin_memcpy(to + i * to_stride, &columns[i], sizeof(Words));
}

// All rows [16, E] of a group of keys, words of 32 bits.
void spread_group(const uint8_t* rows, int32_t words, uint8_t* group) {
  for (int32_t slot = 0; slot < slot_group; slot += 4)
    for (int32_t word = 0; word < words; word += 4)
      transpose(rows + 4 * (slot * words + word), 4 * words,
                group + 4 * (word * slot_group + slot), 4 * slot_group);
}

// Rows [slots, E] of keys into a group from slot `first` on.
template <int PerWord, typename T>
void spread_keys(const T* rows, int32_t head_size, int32_t first, int32_t slots, uint8_t* group) {
  constexpr int size = PerWord * sizeof(T);
  const auto* bytes = reinterpret_cast<const uint8_t*>(rows);
  if (slots == slot_group && size == 4)
    return spread_group(bytes, head_size / PerWord, group);
  if (slots == slot_group) {
    alignas(64) uint32_t wide[slot_group * max_head_size / 4];
    spread_group(bytes, head_size / 4, reinterpret_cast<uint8_t*>(wide));
    auto* to = reinterpret_cast<uint16_t*>(group);
    for (int32_t word = 0; word < head_size / 4; ++word)
      for (int32_t slot = 0; slot < slot_group; ++slot) {
        to[2 * word * slot_group + slot] = static_cast<uint16_t>(wide[word * slot_group + slot]);
        to[(2 * word + 1) * slot_group + slot] =
            static_cast<uint16_t>(wide[word * slot_group + slot] >> 16);
      }
    return;
  }
  for (int32_t slot = 0; slot < slots; ++slot)
    for (int32_t e = 0; e < head_size; e += PerWord)
      __builtin_memcpy(group + (e / PerWord * slot_group + first + slot) * size,
                       rows + slot * head_size + e, size);
}

// Rows of values, two slots in one word where PerWord is 2.
template <int PerWord, typename T>
void spread_values(const T* rows, int32_t head_size, int32_t first, int32_t slots,
                   uint8_t* group) {
  T* to = reinterpret_cast<T*>(group);
  for (int32_t slot = 0; slot < slots; ++slot, rows += head_size) {
    T* own = to + (first + slot) / PerWord * head_size * PerWord + (first + slot) % PerWord;
    if (PerWord == 2 && (first + slot) % 2 == 0 && slot + 1 < slots) {
      for (int32_t e = 0; e < head_size; ++e)
        own[2 * e] = rows[e], own[2 * e + 1] = rows[head_size + e];
      ++slot, rows += head_size;
    } else {
      for (int32_t e = 0; e < head_size; ++e) own[e * PerWord] = rows[e];
    }
  }
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
  constexpr float nothing = 1e-30f;        // below it 127 / largest could overflow
  constexpr float rounding = 12582912.0f;  // 1.5 * 2^23: the sum's low byte is the integer
  const float largest = float_of_bits(largest_bits);
  const float inverse = largest >= nothing ? 127 / largest : 0;
  for (int32_t e = 0; e < head_size; ++e)
    out[e] = static_cast<int8_t>(bits_of_float(row[e] * inverse + rounding) & 0xff);
  return largest < nothing ? 0 : largest / 127;
}

// Tokens' rows [slots, E] of one head in the pool's format, one after another.
struct Converted {
  alignas(64) uint8_t rows[slot_group * max_head_size * 4];
  float scales[slot_group];
};

void convert(KvFormat format, const float* from, int64_t stride, int32_t slots, int32_t head_size,
             Converted& out) {
  for (int32_t slot = 0; slot < slots; ++slot, from += stride) {
    const int32_t at = slot * head_size;
    if (format == KvFormat::fp32)
      __builtin_memcpy(out.rows + 4 * at, from, 4 * static_cast<unsigned>(head_size));
    else if (format == KvFormat::bf16)
      round_row(from, head_size, reinterpret_cast<uint16_t*>(out.rows) + at);
    else
      out.scales[slot] = quantise_head(from, head_size, reinterpret_cast<int8_t*>(out.rows) + at);
  }
}

struct Slots {
  int32_t first, count;
};

template <int PerWord, typename T>
void store_rows(const Pool& pool, const AttendTask& task, int64_t row, int64_t at, Slots slots) {
  const int32_t size = pool.head_size;
  const int64_t scales = int64_t{slot_group} * size + slots.first * 4;
  const unsigned scale_bytes = sizeof(T) == 1 ? 4 * static_cast<unsigned>(slots.count) : 0;
  Converted rows;
  const auto* numbers = reinterpret_cast<const T*>(rows.rows);
  convert(pool.format, task.k + row, task.kv_stride, slots.count, size, rows);
  spread_keys<PerWord>(numbers, size, slots.first, slots.count, pool.keys + at);
  __builtin_memcpy(pool.keys + at + scales, rows.scales, scale_bytes);
  convert(pool.format, task.v + row, task.kv_stride, slots.count, size, rows);
  spread_values<PerWord>(numbers, size, slots.first, slots.count, pool.values + at);
  __builtin_memcpy(pool.values + at + scales, rows.scales, scale_bytes);
}

void store(const Pool& pool, const AttendTask& task, int32_t kv_head, int32_t first,
           int32_t last) {
  while (first < last) {
    const int32_t position = task.first_position + first, slot = position % slot_group;
    const int32_t left = last - first, room = slot_group - slot;
    const Slots slots{slot, left < room ? left : room};
    const int64_t row = int64_t{first} * task.kv_stride + kv_head * pool.head_size;
    const int64_t at = group_at(pool, task.pages, kv_head, position);
    if (pool.format == KvFormat::fp32)
      store_rows<1, float>(pool, task, row, at, slots);
    else if (pool.format == KvFormat::bf16)
      store_rows<2, uint16_t>(pool, task, row, at, slots);
    else
      store_rows<2, int8_t>(pool, task, row, at, slots);
    first += slots.count;
  }
}

}  // namespace
}  // namespace quipu
