// How attention multiplies on AVX2: words of 32 bits in 8 lanes, one fp32 or two bf16 each, the
// other factor and all arithmetic in fp32.
#pragma once

#include "lanes_avx2.h"

namespace quipu {
namespace {

struct Singles {
  using Factor = float;
  using Word = __m256;
  static constexpr int per_word = 1;

  static Word load(const uint8_t* p) { return _mm256_loadu_ps(reinterpret_cast<const float*>(p)); }
  static __m256 add(__m256 sum, Word word, const Factor* factor) {
    return _mm256_fmadd_ps(word, _mm256_broadcast_ss(factor), sum);
  }
  static void convert(__m256 x, Factor* out) { _mm256_storeu_ps(out, x); }
};

struct Pairs {
  using Factor = float;
  struct Word {
    __m256 first, second;
  };
  static constexpr int per_word = 2;

  static Word split(__m256i words) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(words, 16)),
            _mm256_castsi256_ps(_mm256_and_si256(words, _mm256_set1_epi32(-65536)))};
  }
  static Word load(const uint8_t* p) {
    return split(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Word first_of(Word word) { return {word.first, _mm256_setzero_ps()}; }
  static __m256 add(__m256 sum, Word word, const Factor* factors) {
    sum = _mm256_fmadd_ps(word.first, _mm256_broadcast_ss(factors), sum);
    return _mm256_fmadd_ps(word.second, _mm256_broadcast_ss(factors + 1), sum);
  }
  static void convert(__m256 x, Factor* out) { _mm256_storeu_ps(out, x); }
  // Words of bytes in words of bf16, which is exact.
  static __m256i widen(const uint8_t* p) {
    const __m256i both =
        _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    const __m256i first = _mm256_srai_epi32(_mm256_slli_epi32(both, 24), 24);
    const __m256i second = _mm256_srai_epi32(both, 8);
    const __m256i low = _mm256_srli_epi32(_mm256_castps_si256(_mm256_cvtepi32_ps(first)), 16);
    return _mm256_or_si256(low, _mm256_castps_si256(_mm256_cvtepi32_ps(second)));
  }
};

}  // namespace
}  // namespace quipu
