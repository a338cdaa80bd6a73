// bf16 and fp16 as 16-bit words. Internal linkage throughout: units of every instruction set may
// include this, and an inline function that the linker merges could carry AVX-512 into baseline
// code.
#pragma once

#include <cstdint>
#include <cstring>

namespace quipu {
namespace {

[[maybe_unused]] float float_of_bits(uint32_t bits) {
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

[[maybe_unused]] uint32_t bits_of_float(float x) {
  uint32_t out;
  std::memcpy(&out, &x, sizeof out);
  return out;
}

[[maybe_unused]] float float_of_bf16(uint16_t x) { return float_of_bits(uint32_t{x} << 16); }

// To the nearest, ties to even; a NaN stays one.
[[maybe_unused]] uint16_t bf16_of_float(float x) {
  const uint32_t bits = bits_of_float(x);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

[[maybe_unused]] float float_of_fp16(uint16_t x) {
  const uint32_t sign = uint32_t{x & 0x8000u} << 16;
  const uint32_t magnitude = x & 0x7fffu;
  if (magnitude >= 0x7c00) return float_of_bits(sign | 0x7f800000 | (magnitude << 13));
  // Shifted into fp32's place the exponent is 112 too small; the product is exact, subnormals too.
  const float shifted = float_of_bits(magnitude << 13);
  const float two_to_112 = float_of_bits(uint32_t{127 + 112} << 23);
  return float_of_bits(sign | bits_of_float(shifted * two_to_112));
}

// To the nearest, ties to even; overflow becomes infinity.
[[maybe_unused]] uint16_t fp16_of_float(float x) {
  const uint32_t bits = bits_of_float(x);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00);
  if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000) {
    // A subnormal counts steps of 2^-24: adding 1/2 lets the processor round to that step.
    const float half = 0.5f;
    return static_cast<uint16_t>(sign | (bits_of_float(float_of_bits(magnitude) + half) -
                                         bits_of_float(half)));
  }
  const uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return static_cast<uint16_t>(sign | ((rounded - (uint32_t{112} << 23)) >> 13));
}

}  // namespace
}  // namespace quipu
