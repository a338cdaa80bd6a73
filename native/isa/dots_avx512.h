// How attention multiplies on AVX-512: words of 32 bits in 16 lanes, one fp32 or two bf16 each.
#pragma once

#include "bf16_avx512.h"
#include "lanes_avx512.h"

namespace quipu {
namespace {

struct Singles {
  using Factor = float;
  using Word = __m512;
  static constexpr int per_word = 1;

  static Word load(const uint8_t* p) { return _mm512_loadu_ps(p); }
  static __m512 add(__m512 sum, Word word, const Factor* factor) {
    return _mm512_fmadd_ps(word, _mm512_set1_ps(*factor), sum);
  }
  static void convert(__m512 x, Factor* out) { _mm512_storeu_ps(out, x); }
};

struct Pairs {
  using Factor = uint16_t;
  using Word = __m512i;
  static constexpr int per_word = 2;

  static Word load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static Word first_of(Word word) { return _mm512_and_si512(word, _mm512_set1_epi32(0xffff)); }
  static __m512 add(__m512 sum, Word word, const Factor* factors) {
    int32_t bits;
    __builtin_memcpy(&bits, factors, sizeof bits);
    return add_pairs(sum, word, _mm512_set1_epi32(bits));
  }
  static void convert(__m512 x, Factor* out) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), narrow_to_bf16(x));
  }
  // Words of bytes in words of bf16, which is exact.
  static Word widen(const uint8_t* p) {
    const auto part = [p](int i) {
      const auto* bytes = reinterpret_cast<const __m128i*>(p + 16 * i);
      return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(bytes)));
    };
    return narrow_to_bf16(part(0), part(1));
  }
};

}  // namespace
}  // namespace quipu
