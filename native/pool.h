// Keys and values of one layer in pages, laid out for attention without sums across lanes.
//
// Each page holds, for each key/value head in turn, its slots in groups of 16. Of a group of keys
// the 16 slots are lanes, of a group of values the elements of the head are:
//   keys    fp32 [E, 16]; bf16 [E / 2, 16, 2]; int8 [E / 2, 16, 2], then 16 scales in fp32
//   values  fp32 [16, E]; bf16 [8, E, 2], pairs of slots; int8 [8, E, 2], then 16 scales in fp32
// An int8 row is value = integer * scale with scale = largest magnitude / 127, per token and head.
// Slots that hold no token may contain anything.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quipu {

constexpr int slot_group = 16;  // slots of a group: lanes of a 512-bit register

enum class KvFormat { fp32, bf16, int8 };

// The pages of one layer. Owns nothing.
struct Pool {
  KvFormat format;
  int32_t kv_heads;   // K
  int32_t head_size;  // E, a multiple of 16, at most max_head_size
  int32_t page_size;  // slots, a multiple of 16
  int32_t num_pages;  // P
  uint8_t* keys;      // key_bytes of them, from a multiple of 64
  uint8_t* values;    // value_bytes of them, from a multiple of 64
};

// Bytes of the keys and of the values of one layer, for num_pages pages; multiples of 64.
size_t key_bytes(const Pool& pool);
size_t value_bytes(const Pool& pool);

}  // namespace quipu
