#include "pool.h"

namespace quipu {
namespace {

size_t groups(const Pool& pool) {
  return static_cast<size_t>(pool.num_pages) * static_cast<size_t>(pool.kv_heads) *
         static_cast<size_t>(pool.page_size / slot_group);
}

size_t group_size(const Pool& pool) {
  const size_t elements = slot_group * static_cast<size_t>(pool.head_size);
  if (pool.format == KvFormat::fp32) return elements * sizeof(float);
  if (pool.format == KvFormat::bf16) return elements * sizeof(uint16_t);
  return elements + slot_group * sizeof(float);
}

}  // namespace

size_t key_bytes(const Pool& pool) { return groups(pool) * group_size(pool); }

size_t value_bytes(const Pool& pool) { return key_bytes(pool); }

}  // namespace quipu
