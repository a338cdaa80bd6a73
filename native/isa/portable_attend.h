// The obvious slow twin of attention: one key after another, fp32 throughout, natural exponentials.
#pragma once

#include <cmath>

#include "pages.h"

namespace quipu {
namespace {

// One group of keys or values as numbers.
struct Group {
  const Pool& pool;
  const uint8_t* bytes;

  float element(int32_t index, int32_t slot) const {
    if (pool.format == KvFormat::fp32) return reinterpret_cast<const float*>(bytes)[index];
    if (pool.format == KvFormat::bf16)
      return float_of_bf16(reinterpret_cast<const uint16_t*>(bytes)[index]);
    const auto* scales = reinterpret_cast<const float*>(bytes + slot_group * pool.head_size);
    return static_cast<float>(reinterpret_cast<const int8_t*>(bytes)[index]) * scales[slot];
  }
  int32_t per_word() const { return pool.format == KvFormat::fp32 ? 1 : 2; }
  float key(int32_t slot, int32_t e) const {
    const int32_t n = per_word();
    return element((e / n * slot_group + slot) * n + e % n, slot);
  }
  float value(int32_t slot, int32_t e) const {
    const int32_t n = per_word();
    return element((slot / n * pool.head_size + e) * n + slot % n, slot);
  }
};

// One query head and one key.
void attend_key(const Pool& pool, const AttendTask& task, int32_t kv_head, int32_t position,
                const float* q, const Gathered& row) {
  const int64_t at = group_at(pool, task.pages, kv_head, position);
  const Group keys{pool, pool.keys + at}, values{pool, pool.values + at};
  const int32_t slot = position % slot_group;
  float score = 0;
  for (int32_t e = 0; e < pool.head_size; ++e) score += q[e] * keys.key(slot, e);
  score *= task.scale;
  const float largest = std::fmax(*row.largest, score);
  const float keep = std::exp(*row.largest - largest), weight = std::exp(score - largest);
  *row.largest = largest;
  *row.total = *row.total * keep + weight;
  for (int32_t e = 0; e < pool.head_size; ++e)
    row.sums[e] = row.sums[e] * keep + weight * values.value(slot, e);
}

// `visit(row, query, offset of the query head in a row of q and out)`.
template <typename Visit>
void each_row(const Pool& pool, const AttendTask& task, const AttendPart& part,
              const Visit& visit) {
  const int32_t group = task.heads / pool.kv_heads;
  for (int32_t row = 0; row < (part.last - part.first) * group; ++row)
    visit(row, part.first + row / group,
          (part.kv_head * group + row % group) * pool.head_size);
}

void attend(const Pool& pool, const AttendTask& task, const AttendPart& part,
            const Gathered& out) {
  const int32_t begin = part.span * key_span;
  each_row(pool, task, part, [&](int32_t row, int32_t t, int32_t head) {
    const Gathered own{out.largest + row, out.total + row,
                       out.sums + int64_t{row} * pool.head_size};
    *own.largest = -3e38f;
    *own.total = 0;
    for (int32_t e = 0; e < pool.head_size; ++e) own.sums[e] = 0;
    const float* q = task.q + int64_t{t} * task.q_stride + head;
    for (int32_t p = begin; p <= task.first_position + t && p < begin + key_span; ++p)
      attend_key(pool, task, part.kv_head, p, q, own);
  });
}

void merge(const Gathered& into, const Gathered& next, int32_t rows, int32_t head_size) {
  for (int32_t row = 0; row < rows; ++row) {
    if (next.total[row] == 0) continue;
    const float largest = std::fmax(into.largest[row], next.largest[row]);
    const float keep = std::exp(into.largest[row] - largest);
    const float take = std::exp(next.largest[row] - largest);
    into.largest[row] = largest;
    into.total[row] = into.total[row] * keep + next.total[row] * take;
    for (int64_t e = int64_t{row} * head_size; e < (int64_t{row} + 1) * head_size; ++e)
      into.sums[e] = into.sums[e] * keep + next.sums[e] * take;
  }
}

void finish(const Pool& pool, const AttendTask& task, const AttendPart& part,
            const Gathered& all) {
  each_row(pool, task, part, [&](int32_t row, int32_t t, int32_t head) {
    float* out = task.out + int64_t{t} * task.out_stride + head;
    const float* sums = all.sums + int64_t{row} * pool.head_size;
    for (int32_t e = 0; e < pool.head_size; ++e) out[e] = sums[e] / all.total[row];
  });
}

}  // namespace
}  // namespace quipu
